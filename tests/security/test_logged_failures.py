"""A logged exception says where and of which kind; what it says itself may hold what people wrote."""

import json
import logging

import pytest
import structlog

from shared import logs

PERSONAL = ("ada@example.com", "the text of a message")


def _failing(address: str, text: str) -> None:
    try:
        raise LookupError(address)
    except LookupError as cause:
        raise RuntimeError(text) from cause


@pytest.mark.parametrize("by", ["ours", "ours, given", "a library's"])
def test_an_exception_is_logged_with_its_place_and_kind_and_without_its_message(
    capfdbinary: pytest.CaptureFixture[bytes], by: str
) -> None:
    logs.configure(service="test", log_format="json", level="debug")
    try:
        _failing(*PERSONAL)
    except RuntimeError as error:
        if by == "ours":
            structlog.get_logger().exception("it_failed")
        elif by == "ours, given":
            structlog.get_logger().error("it_failed", exc_info=error)
        else:
            logging.getLogger("library").exception("it_failed")
    line = json.loads(capfdbinary.readouterr().out)
    assert line["event"] == "it_failed"
    assert "RuntimeError" in line["exception"]
    assert "LookupError" in line["exception"]
    assert "_failing" in line["exception"]
    assert not [word for word in PERSONAL if word in str(line)]
