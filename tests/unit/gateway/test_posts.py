"""The short way of a post: what may go it, and that its bytes say what the command's model says."""

import json

import pytest

from services.gateway import prefer, writes
from services.gateway.command_ids import CommandIds
from services.gateway.posts import command, plainly_good
from services.gateway.prefer import Preference
from services.gateway.requests import NewMessage
from services.gateway.writes import Write
from shared.callers import Caller
from shared.commands import COMMAND, MessageToPost, PostMessage
from shared.tokens import SignedIn

IDS = CommandIds("a-secret-of-the-tests-of-32-bytes-and-more")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CALLERS = [
    Caller(role="customer", id="c-7", name='Ada "Byron" \\ é'),
    Caller(role="seller", id="login", name="Tea House", seller_id="s-1"),
    Caller(role="guest", id="c-7", name="Ada", order_id="1042"),
]


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("text", ["Hello", 'quotes " and \\, \u2028 and 🫖, \x01\x7f'])
@pytest.mark.parametrize(("after", "seen_seq", "traceparent"), [(None, None, None), ("a" * 42, 12, TRACE)])
def test_its_bytes_are_what_the_model_would_write(
    caller: Caller, text: str, after: str | None, seen_seq: int | None, traceparent: str | None
) -> None:
    write = Write(signed_in=SignedIn(caller=caller, expires_at=0), ids=IDS, key="k", traceparent=traceparent)
    made = command("1042", NewMessage(text=text, after=after, seen_seq=seen_seq), write)
    read = COMMAND.validate_json(made.body)

    asked = MessageToPost(order_id="1042", caller=caller, text=text, after=after, seen_seq=seen_seq)
    heading = writes.heading(made.id, order_id="1042", traceparent=traceparent)
    heading |= {"stamp": made.stamp, "time": read.time}
    assert read == PostMessage(**heading, data=asked)
    assert json.loads(made.body) == json.loads(read.model_dump_json(exclude_none=True))
    assert (made.operation, made.order_id) == ("message.post", "1042")


HEADERS = {
    b"host": b"shop.example",
    b"authorization": b"Bearer abc",
    b"content-type": b"application/json",
    b"content-length": b"15",
    b"idempotency-key": b"k 1",
    b"prefer": b"wait=5",
}


def scope(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/orders/1042/messages",
        "query_string": b"",
        "headers": list(HEADERS.items()),
    }
    return whole | changes


def test_a_plainly_good_request_goes_the_short_way() -> None:
    post = plainly_good(scope())
    assert post is not None
    assert (post.order_id, post.token, post.key, post.preference) == ("1042", "abc", "k 1", Preference(wait_s=5))
    without = plainly_good(
        scope(headers=[(n, v) for n, v in HEADERS.items() if n not in (b"prefer", b"idempotency-key")])
    )
    assert without is not None
    assert (without.key, without.preference) == (None, prefer.NONE)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/v1/orders/1042/messages/import"},
        {"path": "/v1/orders/-/messages"},
        {"path": "/v1/orders/1042/messages\n"},
        {"query_string": b"x=1"},
        *({"headers": [*HEADERS.items(), (name, value)]} for name, value in HEADERS.items()),
        *(
            {"headers": list((HEADERS | {name: value}).items())}
            for name, value in [
                (b"authorization", b"Basic abc"),
                (b"content-type", b"text/plain"),
                (b"content-type", b"application/json; charset=latin-1"),
                (b"content-length", b""),
                (b"content-length", b"131073"),
                (b"content-length", b"-1"),
                (b"idempotency-key", b""),
                (b"idempotency-key", b"x" * 256),
                (b"idempotency-key", b"\xc3\xa9"),
                (b"prefer", b"x" * 201),
            ]
        ),
        {"headers": [item for item in HEADERS.items() if item[0] != b"content-length"]},
    ],
)
def test_anything_else_goes_the_ordinary_way(change: dict[str, object]) -> None:
    assert plainly_good(scope(**change)) is None
