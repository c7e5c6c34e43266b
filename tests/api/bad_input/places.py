"""Where bad input is sent, and what a refusal looks like."""

from typing import Final

from tests.e2e.client import Answer

ORDER: Final = "1042"
PATH: Final = f"/v1/orders/{ORDER}"
MESSAGES: Final = f"{PATH}/messages"
PATIENT: Final = {"Prefer": "wait=30"}


def assert_refused(answer: Answer, *, name: str) -> None:
    """422, and the field is named."""
    assert (answer.status, answer.problem) == (422, "invalid_request"), answer
    fields = [error["field"] for error in answer.body["errors"]]
    assert any(name in each for each in fields), (name, answer.body)
