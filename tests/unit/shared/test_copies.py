"""What a copy of a delivery keeps: its body, its ids, and as many of its headers as surely fit into a frame."""

from types import SimpleNamespace
from typing import Any, cast

from aio_pika.abc import AbstractIncomingMessage

from shared import topology
from shared.delivery import (
    MAX_KEPT_HEADERS_BYTES,
    WorkQueue,
    dead_letter,
    kept_headers,
    publisher_of,
    require_publisher,
    retry,
)
from shared.pipeline import frames

QUEUE = WorkQueue(topology.ORDERS_QUEUE, service="threads", publishers=frozenset({"gateway", "shop"}), anonymous=True)
MIN_FRAME_BYTES = 32_768


def delivery(headers: dict[str, object], *, message_id: str | None = "event-1") -> AbstractIncomingMessage:
    message: Any = SimpleNamespace(
        headers=headers,
        body=b"{}",
        message_id=message_id,
        user_id="shop",
        exchange=topology.SHOP_ORDERS,
        routing_key="order.placed",
        content_type=None,
        reply_to=None,
        correlation_id=None,
        type=None,
        timestamp=None,
    )
    return cast(AbstractIncomingMessage, message)


def test_usual_headers_are_kept_whole() -> None:
    headers = {"x-publisher": "shop", "trace": "é", "count": 3, "is_gift": True, "nothing": ""}
    assert kept_headers(headers) == headers


def test_rabbitmqs_own_counters_are_made_anew_and_are_nothing_that_is_left_out() -> None:
    assert kept_headers({"x-death": [{"count": 1}], "x-delivery-count": 4, "a": "b"}) == {"a": "b"}


def test_of_too_many_headers_ours_are_kept_first_and_the_copy_says_how_many_are_missing() -> None:
    many: dict[str, object] = {f"shop-{number}": "x" * 1_000 for number in range(130)}
    kept = kept_headers({**many, "x-attempt": 1, "x-waits": 2, "x-publisher": "shop"})
    assert {name: kept[name] for name in ("x-attempt", "x-waits", "x-publisher")} == {
        "x-attempt": 1,
        "x-waits": 2,
        "x-publisher": "shop",
    }
    assert kept["x-parley-headers-left-out"] == 130 - (len(kept) - 4)
    assert sum(len(str(value)) for value in kept.values()) <= MAX_KEPT_HEADERS_BYTES


def test_a_copy_of_a_copy_counts_on() -> None:
    first = kept_headers({"long": "x" * 10_000, "table": {"a": 1}, "huge": 2**64})
    assert first == {"x-parley-headers-left-out": 3}
    assert kept_headers({**first, "bytes": b"x"}) == {"x-parley-headers-left-out": 4}


def test_whatever_headers_a_message_has_its_copies_fit_into_a_small_frame() -> None:
    worst: dict[str, object] = {
        "x-publisher": "p" * 130_000,
        "x-attempt": -3,
        "x-waits": 2**63,
        "x-parley-headers-left-out": 2**63 - 1,
        **{f"{number}": "é" * number for number in range(500)},
    }
    message = delivery(worst)
    for copy in (retry(message, QUEUE), dead_letter(message, QUEUE, "defect", "ü" * 10_000)):
        assert copy is not None
        assert frames(copy, user="threads", channel=1, max_body_bytes=MIN_FRAME_BYTES)
        assert copy.headers["x-publisher"] == "shop"


def test_copies_of_messages_without_an_id_have_one_each() -> None:
    message = delivery({}, message_id=None)
    copies = [dead_letter(message, QUEUE, "unreadable", "") for _ in range(2)]
    assert len({copy.message_id for copy in copies} | {"None", ""}) == 4


def test_who_published_first_is_what_rabbitmq_vouches_for_through_all_copies() -> None:
    """A header of the publisher's own is nobody's word, however often the message is copied."""
    for user_id, expected in (("shop", "shop"), (None, None)):
        message: Any = delivery({"x-publisher": "gateway"})
        message.user_id = user_id
        assert publisher_of(message, QUEUE) == expected
        for copy in (retry(message, QUEUE), dead_letter(message, QUEUE, "defect", "")):
            assert copy is not None
            again: Any = delivery(dict(copy.headers))
            again.user_id = "threads"
            assert publisher_of(again, QUEUE) == expected
            require_publisher(again, QUEUE)
