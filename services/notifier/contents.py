"""What a mail holds, and what of it is still worth sending: pure."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.events import ChoicesMade, EntryAddressed, Recipient
from shared.fields import (
    DisputeOutcome,
    DisputeReason,
    EntryKind,
    Grown,
    Seq,
    Side,
)
from shared.orders import Item, OrderSnapshot

MAX_ITEMS_SHOWN = 5

MailState = Literal["open", "pending", "leased", "transmitting", "sent", "failed", "ambiguous", "skipped"]
WhyNothing = Literal["read", "switched_off"]


class Gathered(Grown):
    """One entry of a thread as a mail tells it. `text` is None where there was none or it was redacted."""

    event_id: str
    id: str
    seq: Seq
    kind: EntryKind
    author_side: Side
    author_name: str
    text: str | None
    at: datetime
    reason: DisputeReason | None = None
    outcome: DisputeOutcome | None = None
    redacted: bool = False
    traceparent: str | None = None


class OrderShown(Grown):
    """As much of the order as a mail shows: the first items, and how many more there are."""

    order_id: str
    version: int
    url: str | None
    items: tuple[Item, ...]
    more_items: int
    total: str
    currency: str


class Mail(Grown):
    """One mail to one person about one order, as it stands in the ledger. `rendered` are its bytes once they may have left us."""

    id: str = Field(validation_alias="_id")
    order_id: str
    person: str
    recipient: Recipient
    entries: tuple[Gathered, ...]
    order: OrderShown
    frozen_at: datetime
    attempts: int = 0
    ambiguities: int = 0
    rendered: bytes | None = None


class Knowledge(Grown):
    """What else is known when a mail is about to go: read marks, the person's choices, and texts taken out meanwhile."""

    read_up_to: Seq = 0
    choices: ChoicesMade | None = None
    redacted: frozenset[str] = frozenset()


def gathered(event: EntryAddressed) -> Gathered:
    """The event's entry, with the reason or outcome of the dispute step that it is."""
    entry, dispute = event.data.entry, event.data.thread.dispute
    return Gathered(
        event_id=event.id,
        id=entry.id,
        seq=entry.seq,
        kind=entry.kind,
        author_side=entry.author.side,
        author_name=entry.author.name,
        text=entry.text,
        at=entry.accepted_at,
        reason=dispute.reason if dispute and entry.kind == "dispute_opened" else None,
        outcome=dispute.outcome if dispute and entry.kind == "dispute_closed" else None,
        redacted=entry.redacted,
        traceparent=event.traceparent,
    )


def order_shown(order: OrderSnapshot, *, item_count: int) -> OrderShown:
    """`item_count` is how many items the whole order has: the snapshot in an event may hold only the first ones."""
    return OrderShown(
        order_id=order.order_id,
        version=order.version,
        url=order.url,
        items=tuple(order.items[:MAX_ITEMS_SHOWN]),
        more_items=max(0, item_count - min(len(order.items), MAX_ITEMS_SHOWN)),
        total=order.total,
        currency=order.currency,
    )


def is_urgent(kind: EntryKind) -> bool:
    """A dispute step is mailed at once, with whatever was waiting."""
    return kind != "text"


def left_to_tell(mail: Mail, known: Knowledge) -> tuple[Gathered, ...] | WhyNothing:
    """The entries that the person has neither read nor switched off, by `seq`; or why there are none."""
    unread = [entry for entry in mail.entries if entry.seq > known.read_up_to]
    if not unread:
        return "read"
    wanted = [_without_redacted(entry, known.redacted) for entry in unread if _is_wanted(entry, known.choices)]
    if not wanted:
        return "switched_off"
    return tuple(sorted(wanted, key=lambda entry: entry.seq))


def _is_wanted(entry: Gathered, choices: ChoicesMade | None) -> bool:
    if choices is None:
        return True
    return choices.messages if entry.kind == "text" else choices.disputes


def _without_redacted(entry: Gathered, redacted: frozenset[str]) -> Gathered:
    return entry.model_copy(update={"text": None, "redacted": True}) if entry.id in redacted else entry
