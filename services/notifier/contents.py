"""What a mail holds, and what of it is still worth sending: pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.contracts.choices import Choice, decide
from shared.contracts.contacts import ContactVersion, contact_key, order_version
from shared.events import ChoicesMade, ContactData, EntryAddressed, Recipient
from shared.fields import (
    DisputeOutcome,
    DisputeReason,
    EntryKind,
    Grown,
    Seq,
    Side,
    SoldBy,
)
from shared.orders import Item, OrderSnapshot

MAX_ITEMS_SHOWN = 5

MailState = Literal["open", "pending", "leased", "transmitting", "sent", "failed", "ambiguous", "skipped"]
WhyNothing = Literal["read", "redacted", "switched_off", "erased"]


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
    sold_by: SoldBy = "seller"


class Mail(Grown):
    """One mail to one person about one order, as it stands in the ledger.

    `rendered` are its bytes once they may have left us, and `transmitted_to` is the address that they were for.
    """

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
    transmitted_to: str | None = None

    @property
    def contact_key(self) -> str:
        return contact_key(self.recipient.role, self.recipient.person, self.order_id)


class Knowledge(Grown):
    """What else is known when a mail is about to go: read marks, what was chosen by person and by address, texts taken out, and where its mails go now."""

    read_up_to: Seq = 0
    choices: tuple[ChoicesMade, ...] = ()
    redacted: frozenset[str] = frozenset()
    contact: ContactData | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an attempt is to send, and to whom."""

    recipient: Recipient
    entries: tuple[Gathered, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing of the mail is worth sending, and why."""

    why: WhyNothing


@dataclass(frozen=True, slots=True)
class Moved:
    """The mail may have reached an address that is not its person's any more: to send it elsewhere too could double it."""


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
        sold_by=order.sold_by,
    )


def source_of(event: EntryAddressed, recipient: Recipient) -> str:
    """The party that a recipient hears of by this event: for the customer the seller, for everybody else the customer."""
    data = event.data
    return f"seller:{data.seller_id}" if recipient.inbox == "customer" else f"customer:{data.customer_id}"


def is_urgent(kind: EntryKind) -> bool:
    """A dispute step is mailed at once, with whatever was waiting."""
    return kind != "text"


def plan(mail: Mail, known: Knowledge) -> Plan | Nothing | Moved:
    """What an attempt that begins now is to do, by all that is known at its beginning."""
    recipient = recipient_now(mail, known.contact)
    if recipient is None:
        return Nothing("erased")
    left = left_to_tell(mail, known)
    if not isinstance(left, tuple):
        return Nothing(left)
    may_have_arrived = mail.ambiguities > 0
    if may_have_arrived and recipient.email != (mail.transmitted_to or mail.recipient.email):
        return Moved()
    return Plan(recipient, left)


def recipient_now(mail: Mail, contact: ContactData | None) -> Recipient | None:
    """The newer of what the entry's event said and what was said since; None where there is no address any more.

    Whoever is no guest any more has no use for a guest's link.
    """
    if contact is None or contact.version <= version_of(mail.recipient, mail.order.version):
        return mail.recipient
    if contact.email is None:
        return None
    return Recipient(
        person=contact.person,
        inbox=mail.recipient.inbox,
        name=contact.name,
        email=contact.email,
        locale=contact.locale,
        guest_token=mail.recipient.guest_token if contact.guest else None,
        unsubscribe_token=contact.unsubscribe_token or mail.recipient.unsubscribe_token,
        version=contact.version,
        address_key=contact.address_key,
    )


def version_of(recipient: Recipient, version: int) -> ContactVersion:
    """The version of a recipient's address. In events of the release before it is that of the order, for those whom the order names.

    Watchers and the shop's mailbox had none: whatever was said of them since is newer.
    """
    if recipient.version is not None:
        return recipient.version
    return order_version(version) if recipient.role in ("customer", "seller") else "0"


def left_to_tell(mail: Mail, known: Knowledge) -> tuple[Gathered, ...] | WhyNothing:
    """The entries that the person has neither read nor switched off and that still say something, by `seq`; or why there are none."""
    unread = [entry for entry in mail.entries if entry.seq > known.read_up_to]
    if not unread:
        return "read"
    telling = [entry for entry in (_without_redacted(each, known.redacted) for each in unread) if not _is_empty(entry)]
    if not telling:
        return "redacted"
    wanted = [entry for entry in telling if _is_wanted(entry, known.choices)]
    if not wanted:
        return "switched_off"
    return tuple(sorted(wanted, key=lambda entry: entry.seq))


def _is_empty(entry: Gathered) -> bool:
    """A message that was taken out says nothing any more; a dispute's step is news also without its text."""
    return entry.redacted and entry.kind == "text"


def own_choices(known: Knowledge, person: str) -> ChoicesMade | None:
    """What the person themselves chose, with their language and time zone; an address and a thread have none."""
    return next((each for each in known.choices if each.person == person), None)


def _is_wanted(entry: Gathered, choices: tuple[ChoicesMade, ...]) -> bool:
    kind: Choice = "messages" if entry.kind == "text" else "disputes"
    return decide(each.said_of(kind) for each in choices)


def _without_redacted(entry: Gathered, redacted: frozenset[str]) -> Gathered:
    return entry.model_copy(update={"text": None, "redacted": True}) if entry.id in redacted else entry
