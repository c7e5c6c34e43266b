"""What is told of a refused order: nothing of what is in it, whatever it is."""

import pytest

from services.threads.order_refusals import NOT_SHOWN, OURS, Named, public_detail, read_named
from shared.errors import CannotProcess


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"id": "e-1", "data": {"order_id": "1042", "version": 3}}', Named("1042", 3, "e-1")),
        (b'{"id": "a@b.c", "data": {"order_id": "a@b.c", "version": -1}}', Named()),
        (b'{"id": "one\\ntwo", "data": {"order_id": "1042\\n", "version": true}}', Named()),
        (b'{"id": "", "data": {"order_id": 1042, "version": "3"}}', Named()),
        (b'{"id": "%s", "data": [1]}' % (b"x" * 256), Named()),
        (b'{"data": {"version": 9007199254740993}}', Named()),
        (b"[]", Named()),
        (b"", Named()),
        (b"\xff", Named()),
        (b" " * 1_048_577 + b"{}", Named()),
    ],
)
def test_what_a_refused_event_is_about_is_read_as_far_as_it_can_be(body: bytes, named: Named) -> None:
    assert read_named(body) == named


def test_a_traceback_and_an_address_are_not_shown() -> None:
    assert public_detail(CannotProcess("defect", "Traceback: secret")) == OURS
    assert public_detail(CannotProcess("invalid", "what ada@example.com wrote")) == NOT_SHOWN
    assert len(public_detail(CannotProcess("invalid", "x" * 5_000))) == 500
