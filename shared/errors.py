"""What can go wrong, said once: problem documents for callers (RFC 9457), and the two deliberate failures of a delivery."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

PROBLEM_MEDIA_TYPE = "application/problem+json"

ProblemCode = Literal[
    "invalid_request",
    "unauthenticated",
    "forbidden",
    "not_found",
    "not_allowed",
    "conflict",
    "idempotency_conflict",
    "version_conflict",
    "parties_changed",
    "precondition_failed",
    "link_ended",
    "too_large",
    "too_many_requests",
    "unavailable",
    "internal",
]

STATUS_OF: Mapping[ProblemCode, int] = {
    "invalid_request": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "not_allowed": 403,
    "conflict": 409,
    "idempotency_conflict": 409,
    "version_conflict": 409,
    "parties_changed": 409,
    "precondition_failed": 412,
    "link_ended": 410,
    "too_large": 413,
    "too_many_requests": 429,
    "unavailable": 503,
    "internal": 500,
}

TITLE_OF: Mapping[ProblemCode, str] = {
    "invalid_request": "The request is not valid",
    "unauthenticated": "A valid bearer token is needed",
    "forbidden": "This role may not do that",
    "not_found": "There is no such thing here for you",
    "not_allowed": "You may not do that to this thread",
    "conflict": "The thread is in another state",
    "idempotency_conflict": "This Idempotency-Key stands for another request",
    "version_conflict": "This version of the order stands with other content",
    "parties_changed": "An order keeps its customer and its seller",
    "precondition_failed": "It has changed since you looked",
    "link_ended": "This link has ended",
    "too_large": "The request is too large",
    "too_many_requests": "Too many requests",
    "unavailable": "Not available for the moment",
    "internal": "An error on our side",
}


def message_of(error: Mapping[str, Any]) -> str:
    """What one of Pydantic's errors says is wrong, without the name of the exception that a validator of ours raised."""
    return str(error["msg"]).removeprefix("Value error, ")


class FieldError(BaseModel):
    """One field of a request and what is wrong with it, in words that say what to do."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457).

    `type` is `urn:parley:problem:<code>`: compare that, show `detail`. Members beyond the RFC's: `errors` names the fields of an
    invalid request; `outcome: "unknown"` with `idempotency_key` says that a write went out unconfirmed and how to repeat it safely;
    `state` is the current state where one conflicts with it.
    """

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int
    detail: str
    errors: Sequence[FieldError] | None = None
    outcome: Literal["unknown"] | None = None
    idempotency_key: str | None = None
    state: dict[str, Any] | None = None

    @property
    def code(self) -> str:
        return self.type.rpartition(":")[2]


def problem(code: ProblemCode, detail: str, **members: Any) -> Problem:
    """The problem document of a code, with the HTTP status that belongs to it."""
    return Problem(
        type=f"urn:parley:problem:{code}", title=TITLE_OF[code], status=STATUS_OF[code], detail=detail, **members
    )


class ProblemError(Exception):
    """Raised anywhere below a route or a decision; becomes its problem document in one place. `headers` go with it over HTTP."""

    def __init__(
        self, problem: Problem, *, retry_after_s: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after_s = retry_after_s
        self.headers = headers or {}


def refuse(code: ProblemCode, detail: str, **members: Any) -> ProblemError:
    """The exception that answers with this problem."""
    return ProblemError(problem(code, detail, **members))


def not_found(order_id: str) -> ProblemError:
    """Said of an order that is unknown and of another person's order alike, so that the two cannot be told apart."""
    return refuse("not_found", f"There is no order {order_id} for you. Check the order number and who is signed in.")


class RetryLater(Exception):
    """The delivery cannot be processed now, but may be later: it takes the next retry tier."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CannotProcess(Exception):
    """The delivery can never be processed: it goes to the dead-letter queue with this reason."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
