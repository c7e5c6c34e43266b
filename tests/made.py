"""Callers, orders and commands, as tests need them: only what matters to the test is said there."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Any

from uuid6 import uuid7

from shared.callers import Caller
from shared.commands import (
    CloseDispute,
    DisputeToClose,
    DisputeToOpen,
    MarkRead,
    MarkToSet,
    MessageToPost,
    OpenDispute,
    PostMessage,
)
from shared.orders import Customer, Item, OrderSnapshot, Seller

CUSTOMER = Caller(role="customer", id="c-7", name="Ada")
SELLER = Caller(role="seller", id="login-1", name="Bob", seller_id="s-1")
SELLER_TOO = Caller(role="seller", id="login-2", name="Bea", seller_id="s-1")
OTHER_CUSTOMER = Caller(role="customer", id="c-8", name="Eve")
ADMIN = Caller(role="admin", id="a-1", name="Staff")


def new_id() -> str:
    """A command id as the gateway makes them, without its meaning."""
    return base64.b32encode(secrets.token_bytes(27)).decode().lower()[:42]


def snapshot(order_id: str = "1042", *, version: int = 1, **changes: Any) -> OrderSnapshot:
    return OrderSnapshot(
        order_id=order_id,
        version=version,
        status=changes.pop("status", "placed"),
        placed_at=datetime(2026, 11, 1, 9, 30, tzinfo=UTC),
        url=f"https://shop.example/orders/{order_id}",
        customer=changes.pop("customer", Customer(id="c-7", name="Ada", email="ada@example.com")),
        seller=changes.pop("seller", Seller(id="s-1", name="Fine Things", email="seller@example.com")),
        items=[Item(sku="A-1", name="Lamp", quantity=2, price="19.90")],
        total="39.80",
        currency="EUR",
    )


def post(text: str, *, order_id: str = "1042", by: Caller = CUSTOMER, **more: Any) -> PostMessage:
    after, seen_seq = more.pop("after", None), more.pop("seen_seq", None)
    data = MessageToPost(order_id=order_id, caller=by, text=text, after=after, seen_seq=seen_seq)
    return PostMessage(data=data, **envelope(**more))


def open_dispute(*, by: Caller = CUSTOMER, order_id: str = "1042", **more: Any) -> OpenDispute:
    expected = more.pop("expected", None)
    data = DisputeToOpen(order_id=order_id, caller=by, reason="damaged", text="It is broken", expected=expected)
    return OpenDispute(data=data, **envelope(**more))


def close_dispute(*, by: Caller = CUSTOMER, order_id: str = "1042", **more: Any) -> CloseDispute:
    expected = more.pop("expected", None)
    data = DisputeToClose(order_id=order_id, caller=by, outcome="refunded", note="Thanks", expected=expected)
    return CloseDispute(data=data, **envelope(**more))


def mark_read(up_to_seq: int, *, by: Caller, order_id: str = "1042", **more: Any) -> MarkRead:
    return MarkRead(data=MarkToSet(order_id=order_id, caller=by, up_to_seq=up_to_seq), **envelope(**more))


def envelope(**given: Any) -> dict[str, Any]:
    """What the envelope of a command says, made up where it is not given."""
    return {"id": new_id(), "stamp": str(uuid7()), "time": datetime.now(UTC), **given}
