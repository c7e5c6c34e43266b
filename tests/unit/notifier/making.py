"""Addressed events and mails for tests, with only what matters to a test said by it."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from services.notifier.contents import Gathered, Mail, gathered, order_shown
from shared.callers import Author
from shared.events import AddressedEntry, Dispute, EntryAddressed, Recipient, Said, ThreadState
from shared.fields import DisputeOutcome, DisputeReason, EntryKind, Locale, Side
from shared.orders import Customer, Item, OrderSnapshot, Seller, SoldOrder

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def command_id(number: int | None = None) -> str:
    """An id of the right shape, another one each time."""
    digits = f"{next(_numbers) if number is None else number:042d}"
    return digits.translate(str.maketrans("0123456789", "abcdefghij"))


def order(order_id: str = "1042", **changes: Any) -> OrderSnapshot:
    fields: dict[str, Any] = {
        "order_id": order_id,
        "version": 1,
        "status": "placed",
        "placed_at": NOON,
        "url": f"https://shop.example/orders/{order_id}",
        "customer": Customer(id="c-7", name="Mara Moser", email="mara@example.com"),
        "seller": Seller(id="s-1", name="Retrospot Gifts", email="gifts@example.com"),
        "items": [Item(sku="22196", name="Small heart measuring spoons", quantity=24, price="0.85")],
        "total": "20.40",
        "currency": "EUR",
    }
    return OrderSnapshot(**(fields | changes))


def customer(
    *, email: str = "mara@example.com", name: str = "Mara Moser", locale: Locale = "en", guest_token: str | None = None
) -> Recipient:
    return Recipient(
        person="customer:c-7",
        inbox="customer",
        name=name,
        email=email,
        locale=locale,
        guest_token=guest_token,
        unsubscribe_token="unsubscribe-token",
    )


def seller(*, email: str = "gifts@example.com", locale: Locale = "en") -> Recipient:
    return Recipient(
        person="seller:s-1",
        inbox="seller",
        name="Retrospot Gifts",
        email=email,
        locale=locale,
        unsubscribe_token="sellers-token",
    )


def watcher(*, email: str = "staff@shop.example") -> Recipient:
    return Recipient(
        person="admin:a-1", inbox="shop", name="Staff", email=email, locale="en", unsubscribe_token="watchers-token"
    )


def event(
    text: str | None = "It is on its way.",
    *,
    seq: int = 1,
    kind: EntryKind = "text",
    to: tuple[Recipient, ...] | None = None,
    side: Side = "seller",
    author: str = "Retrospot Gifts",
    about: OrderSnapshot | None = None,
    event_id: str | None = None,
    reason: DisputeReason = "damaged",
    outcome: DisputeOutcome = "refunded",
) -> EntryAddressed:
    """An entry by the seller to the customer, unless it is said otherwise."""
    snapshot = SoldOrder.of(about or order(), shop="Demo Shop")
    writer, entry_id = Author(side=side, person=f"{side}:1", name=author), command_id()
    at = NOON + timedelta(minutes=seq)
    said = Said(
        id=entry_id,
        seq=seq,
        kind=kind,
        author=writer,
        text=text,
        accepted_at=at,
        committed_at=at,
        redacted=text is None,
    )
    dispute = None if kind == "text" else _dispute(kind, writer, seq=seq, at=at, reason=reason, outcome=outcome)
    return EntryAddressed(
        id=event_id or entry_id,
        time=at,
        subject=snapshot.order_id,
        data=AddressedEntry(
            order_id=snapshot.order_id,
            customer_id=snapshot.customer.id,
            seller_id=snapshot.seller.id,
            sold_by=snapshot.sold_by,
            entry=said,
            thread=ThreadState(seq=seq, entries_by_side={"seller": seq}, dispute=dispute),
            order=snapshot,
            item_count=len(snapshot.items),
            recipients=(customer(),) if to is None else to,
        ),
    )


def _dispute(
    kind: EntryKind, author: Author, *, seq: int, at: datetime, reason: DisputeReason, outcome: DisputeOutcome
) -> Dispute:
    is_closed = kind == "dispute_closed"
    return Dispute(
        id=command_id(),
        state="closed" if is_closed else "open",
        reason=reason,
        opened_by=author,
        opened_at=at,
        opened_seq=seq,
        outcome=outcome if is_closed else None,
        closed_by=author if is_closed else None,
        closed_at=at if is_closed else None,
        closed_seq=seq if is_closed else None,
    )


def mail(*events: EntryAddressed, recipient: Recipient | None = None, mail_id: str = "0192f0c1") -> Mail:
    """A mail that holds the entries of these events, in this order."""
    told = events or (event(),)
    to = recipient or told[0].data.recipients[0]
    return Mail(
        _id=mail_id,
        order_id=told[0].data.order_id,
        person=to.person,
        recipient=to,
        entries=entries(*told),
        order=order_shown(told[-1].data.order, item_count=told[-1].data.item_count),
        frozen_at=NOON,
    )


def entries(*events: EntryAddressed) -> tuple[Gathered, ...]:
    return tuple(gathered(one) for one in events)
