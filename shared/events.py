"""Events: what threads says has happened. At least once and in any order; a copy has the same id.

On `parley.events` they carry no address; on `parley.notifications`, which only the notifier reads, they are addressed.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.callers import Author
from shared.contracts.choices import Choice
from shared.contracts.contacts import SHOP_MAILBOX, ContactRole, ContactVersion
from shared.contracts.keys import MAIN_SHOP, ShopId
from shared.envelope import Envelope
from shared.fields import (
    CommandId,
    DisputeOutcome,
    DisputeReason,
    EmailAddress,
    EntryKind,
    Grown,
    Locale,
    Moment,
    Name,
    OrderId,
    PersonId,
    Seq,
    Side,
    SoldBy,
    TimeZone,
)
from shared.orders import SoldOrder


class Dispute(Grown):
    """A dispute as it stands: no texts (they are in the entries at `opened_seq` and `closed_seq`)."""

    id: CommandId
    state: Literal["open", "closed"]
    reason: DisputeReason
    opened_by: Author
    opened_at: Moment
    opened_seq: Seq
    outcome: DisputeOutcome | None = None
    closed_by: Author | None = None
    closed_at: Moment | None = None
    closed_seq: Seq | None = None


class ThreadState(Grown):
    """The thread right after an entry: how many entries each side has made, the dispute, and since when the customer waits."""

    seq: Seq
    entries_by_side: dict[Side, int]
    dispute: Dispute | None = None
    waiting_since: Moment | None = None


class Said(Grown):
    """One entry of a thread. `text` is missing where it was redacted, or a dispute was closed without a note.

    `accepted_at` is when the gateway took it.
    """

    id: CommandId
    seq: Seq
    kind: EntryKind
    author: Author
    text: str | None = None
    accepted_at: Moment
    committed_at: Moment
    redacted: bool = False
    imported: bool = False


class EntryMade(Grown):
    """An entry was committed. `customer_id` and `seller_id` are the order's parties: whoever may see the thread.

    Where the shop itself sells (`sold_by` is `shop`), `seller_id` is `~shop`, and its staff answer as the side `shop`. Events of the
    first release do not have `sold_by`: they are about orders of sellers.
    """

    order_id: OrderId
    customer_id: PersonId
    seller_id: PersonId
    sold_by: SoldBy | None = None
    entry: Said
    thread: ThreadState


class TextTakenOut(Grown):
    """The text of an entry was taken out; whoever keeps a copy of it must drop it."""

    order_id: OrderId
    customer_id: PersonId
    seller_id: PersonId
    sold_by: SoldBy | None = None
    message_id: CommandId
    seq: Seq


class MarkMoved(Grown):
    """A person of an inbox has read up to `up_to_seq` (0: marked unread). `unread` is what is new for the inbox after it.

    `furthest_seq` is the furthest that anybody of the inbox has ever read: it never goes back. Events of the first release do not have it.
    """

    order_id: OrderId
    customer_id: PersonId
    seller_id: PersonId
    sold_by: SoldBy | None = None
    inbox: Side
    person: str
    up_to_seq: Seq
    unread: int
    furthest_seq: Seq | None = None


class ChoicesMade(Grown):
    """What is wanted by mail from now on; `stamp` orders the changes of one `person` (newer wins).

    `person` is a caller key, or stands for an address (`address|…`, with the `address_key` of recipients) or for somebody's place in one
    thread (`thread|…`). `since` is when each choice was made: of all that is said about a mail the newest decides. `time_zone` is that of
    the times in their mails; null: the shop's own.
    """

    person: str
    stamp: str
    messages: bool
    disputes: bool
    locale: Locale | None = None
    since: dict[Choice, str] | None = None
    time_zone: TimeZone | None = None

    def said_of(self, choice: Choice) -> tuple[bool, str]:
        """The choice and when it was made. Events of the release before say only when the newest of them was."""
        stamp = self.stamp.partition(",")[0] if self.since is None else self.since.get(choice, "")
        return getattr(self, choice), stamp


class ContactData(Grown):
    """Where the mails of one person about a thread go from now on. `email` null: nowhere, because there is no address any more.

    `role` and, for a watcher, `person` say whose place it is; a guest who becomes an account keeps theirs, under another `person`.
    `thread_id` is null for the shop's own mailbox, which is that of all its threads. Of two contacts in one place the greater
    `version` counts, compared as text. `address_key` and `unsubscribe_token` are as in a recipient.
    """

    shop_id: ShopId = MAIN_SHOP
    thread_id: OrderId | None = None
    role: ContactRole
    person: str
    version: ContactVersion
    name: Name
    email: EmailAddress | None = None
    locale: Locale
    guest: bool = False
    address_key: str | None = None
    unsubscribe_token: str | None = None


class RefusedOrder(Grown):
    """An order snapshot that was not taken, and why.

    `order_id` and `version` are missing where they could not be read, `event_id` (of the event that was refused) and `message_id` (AMQP's)
    where they are missing or could hold an address. `publisher` is the RabbitMQ user that published it, if it said so (`user_id`).
    `reason`: `version_conflict` (the version stands with other content, and no newer source time), `parties_changed`, `invalid`,
    `too_large`, `wrong_publisher`, `undecodable` (its AMQP properties), `defect` (on our side; an operator can replay it); others may come. `detail` has no value out of the order.
    """

    order_id: OrderId | None = None
    version: int | None = None
    event_id: str | None = None
    message_id: str | None = None
    publisher: str | None = None
    reason: str
    detail: str


class EventEnvelope(Envelope):
    source: Literal["parley/threads"] = "parley/threads"


class MessagePosted(EventEnvelope):
    """Somebody wrote into a thread. Routing key `message.posted`."""

    type: Literal["parley.message.posted.v1"] = "parley.message.posted.v1"
    data: EntryMade


class DisputeOpened(EventEnvelope):
    """A dispute was opened. Routing key `dispute.opened`."""

    type: Literal["parley.dispute.opened.v1"] = "parley.dispute.opened.v1"
    data: EntryMade


class DisputeClosed(EventEnvelope):
    """The dispute was closed. Routing key `dispute.closed`."""

    type: Literal["parley.dispute.closed.v1"] = "parley.dispute.closed.v1"
    data: EntryMade


class MessageRedacted(EventEnvelope):
    """A text was taken out. Routing key `message.redacted`."""

    type: Literal["parley.message.redacted.v1"] = "parley.message.redacted.v1"
    data: TextTakenOut


class ThreadRead(EventEnvelope):
    """A read mark moved, forward or back. Routing key `thread.read`."""

    type: Literal["parley.thread.read.v1"] = "parley.thread.read.v1"
    data: MarkMoved


class PreferencesChanged(EventEnvelope):
    """A person changed what comes by mail. Routing key `preferences.changed`; on `parley.notifications` alone."""

    type: Literal["parley.preferences.changed.v1"] = "parley.preferences.changed.v1"
    data: ChoicesMade


class ContactChanged(EventEnvelope):
    """An address, or a name or language that goes with it, was changed or withdrawn. Routing key `contact.changed`; on `parley.notifications` alone.

    Published for every snapshot and every watch that changes one, before it is acknowledged, and again where it is delivered again.
    """

    type: Literal["parley.contact.changed.v1"] = "parley.contact.changed.v1"
    data: ContactData


class OrderRejected(EventEnvelope):
    """An order event of the shop's was refused. Routing key `order.rejected`.

    Published before its delivery is dead-lettered, or acknowledged where it was a `PUT` that is answered. For the shop's services alone: no
    customer, seller or administrator is told live.
    """

    type: Literal["parley.order.rejected.v1"] = "parley.order.rejected.v1"
    data: RefusedOrder


class Recipient(Grown):
    """One person to be mailed about an entry.

    `person` is whose mails they are (`Caller.mailbox`; `shop` for the shop's own mailbox), `inbox` whose read marks count for them
    (a watcher's own mark counts). `version` is that of the address: a contact with a greater one replaces it. `guest_token` opens this one
    thread for an hour's session (put it into a link's fragment, never into a path or query); `unsubscribe_token` can switch mails off
    and nothing else. `address_key` stands for a customer's address where choices are kept by address, and cannot be turned back into it.
    """

    person: str
    inbox: Side
    name: Name
    email: EmailAddress
    locale: Locale
    guest_token: str | None = None
    unsubscribe_token: str
    version: ContactVersion | None = None
    address_key: str | None = None

    @property
    def role(self) -> ContactRole:
        """Whose place in the thread this is."""
        if self.person == SHOP_MAILBOX:
            return "shop"
        return "watcher" if self.inbox == "shop" else self.inbox


class AddressedEntry(EntryMade):
    """An entry, the order it is about, and whom to mail."""

    order: SoldOrder
    item_count: int
    recipients: tuple[Recipient, ...]


class EntryAddressed(EventEnvelope):
    """An entry for the notifier to mail. On `parley.notifications` alone, with the routing key of the event it goes with.

    The id is that of the event; `AddressedEntry.order` holds only the first items, as many as a mail shows, `item_count` says how
    many there are.
    """

    type: Literal["parley.entry.addressed.v1"] = "parley.entry.addressed.v1"
    data: AddressedEntry


Event = Annotated[
    MessagePosted | DisputeOpened | DisputeClosed | MessageRedacted | ThreadRead | OrderRejected,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)

Notification = Annotated[
    EntryAddressed | MessageRedacted | ThreadRead | PreferencesChanged | ContactChanged, Field(discriminator="type")
]
NOTIFICATION: TypeAdapter[Notification] = TypeAdapter(Notification)

ROUTING_KEY_OF_ENTRY: dict[EntryKind, str] = {
    "text": "message.posted",
    "dispute_opened": "dispute.opened",
    "dispute_closed": "dispute.closed",
}
