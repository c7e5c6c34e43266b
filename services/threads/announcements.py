"""What is published about an entry, a mark or a choice: the event for everybody, and the addressed one for the notifier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.threads.access import Parties
from services.threads.orders import OrderForMail
from services.threads.recipients import Addressee, Choices, Watcher, addressees, wanted
from services.threads.thread import Entry, State
from shared import topology
from shared.delivery import Outgoing
from shared.envelope import Envelope
from shared.events import (
    ROUTING_KEY_OF_ENTRY,
    AddressedEntry,
    ChoicesMade,
    DisputeClosed,
    DisputeOpened,
    EntryAddressed,
    EntryMade,
    MarkMoved,
    MessagePosted,
    MessageRedacted,
    PreferencesChanged,
    Recipient,
    Said,
    TextTakenOut,
    ThreadRead,
    ThreadState,
)
from shared.tokens import mint_guest_link, mint_unsubscribe

EVENT_OF_ENTRY = {"text": MessagePosted, "dispute_opened": DisputeOpened, "dispute_closed": DisputeClosed}


@dataclass(frozen=True, slots=True)
class MailContext:
    """What must be known to address an entry: the order, who watches it, and what people want."""

    orders: Mapping[str, OrderForMail]
    watchers: Sequence[Watcher]
    choices: Mapping[str, Choices]


class Announcements:
    """Makes the messages; pure but for the tokens that mails carry, which are signed with the link secret."""

    def __init__(
        self, *, link_secret: str, administrators: Addressee | None, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._secret, self._administrators = link_secret, administrators
        self._clock = clock or (lambda: datetime.now(UTC))

    def addressees(self, entry: Entry, order: OrderForMail, watchers: Sequence[Watcher]) -> list[Addressee]:
        """Everybody whom the entry concerns, before preferences."""
        own = [each for each in watchers if each.order_id == entry.order_id]
        return addressees(entry, order.snapshot, watchers=own, administrators=self._administrators)

    def of_entry(self, entry: Entry, parties: Parties, context: MailContext) -> list[Outgoing]:
        """The event of the entry, its redaction if there was one, and the addressed event if there is anybody to mail."""
        made = _entry_made(entry, parties)
        kind = EVENT_OF_ENTRY[entry.kind]
        event = kind(
            id=entry.id, subject=entry.order_id, time=entry.committed_at, traceparent=entry.traceparent, data=made
        )
        outgoing = [_event(event)]
        order = context.orders.get(entry.order_id)
        if order is not None:
            people = wanted(self.addressees(entry, order, context.watchers), entry, context.choices)
            if people:
                outgoing.append(self._addressed(entry, made, order, people))
        if entry.redacted:
            outgoing += _redaction(entry, parties, now=self._clock())
        return outgoing

    def _addressed(self, entry: Entry, made: EntryMade, order: OrderForMail, people: list[Addressee]) -> Outgoing:
        addressed = AddressedEntry(
            order_id=made.order_id,
            customer_id=made.customer_id,
            seller_id=made.seller_id,
            entry=made.entry,
            thread=made.thread,
            order=order.snapshot,
            item_count=order.item_count,
            recipients=tuple(self._recipient(each, order) for each in people),
        )
        event = EntryAddressed(
            id=entry.id, subject=entry.order_id, time=entry.committed_at, traceparent=entry.traceparent, data=addressed
        )
        return _notification(event, routing_key=ROUTING_KEY_OF_ENTRY[entry.kind])

    def _recipient(self, each: Addressee, order: OrderForMail) -> Recipient:
        now = self._clock().timestamp()
        customer = order.snapshot.customer
        guest_token = (
            mint_guest_link(order.snapshot.order_id, customer.id, customer.name, secret=self._secret, now=now)
            if each.guest
            else None
        )
        return Recipient(
            person=each.person,
            inbox=each.inbox,
            name=each.name,
            email=each.email,
            locale=each.locale,
            guest_token=guest_token,
            unsubscribe_token=mint_unsubscribe(each.person, secret=self._secret, now=now),
        )


def of_mark(command_id: str, mark: MarkMoved, *, now: datetime, traceparent: str | None = None) -> list[Outgoing]:
    """The event of a read mark, to everybody and to the notifier."""
    event = ThreadRead(
        id=f"{command_id}.{mark.order_id}", subject=mark.order_id, time=now, traceparent=traceparent, data=mark
    )
    return [_event(event), _notification(event, routing_key="thread.read")]


def of_choices(
    command_id: str, choices: ChoicesMade, *, now: datetime, traceparent: str | None = None
) -> list[Outgoing]:
    """The event of a person's preferences, to the notifier alone."""
    event = PreferencesChanged(id=command_id, subject=None, time=now, traceparent=traceparent, data=choices)
    return [_notification(event, routing_key="preferences.changed")]


def thread_state(seq: int, state: State) -> ThreadState:
    return ThreadState(
        seq=seq, entries_by_side=dict(state.by_side), dispute=state.dispute, waiting_since=state.waiting_since
    )


def _entry_made(entry: Entry, parties: Parties) -> EntryMade:
    said = Said(
        id=entry.id,
        seq=entry.seq,
        kind=entry.kind,
        author=entry.author,
        text=entry.text,
        accepted_at=entry.accepted_at,
        committed_at=entry.committed_at,
        redacted=entry.redacted,
        imported=entry.imported,
    )
    return EntryMade(
        order_id=entry.order_id,
        customer_id=parties.customer_id,
        seller_id=parties.seller_id,
        entry=said,
        thread=thread_state(entry.seq, entry.after),
    )


def _redaction(entry: Entry, parties: Parties, *, now: datetime) -> list[Outgoing]:
    taken_out = TextTakenOut(
        order_id=entry.order_id,
        customer_id=parties.customer_id,
        seller_id=parties.seller_id,
        message_id=entry.id,
        seq=entry.seq,
    )
    event = MessageRedacted(id=f"{entry.id}.redacted", subject=entry.order_id, time=now, data=taken_out)
    return [_event(event), _notification(event, routing_key="message.redacted")]


def _event(event: Envelope) -> Outgoing:
    """An event for everybody; whether anybody has bound a queue for it is not our affair."""
    key = event.type.removeprefix("parley.").rpartition(".")[0]
    return Outgoing(topology.EVENTS, key, _bytes(event), message_id=event.id, mandatory=False)


def _notification(event: Envelope, *, routing_key: str) -> Outgoing:
    """An addressed event: the notifier's queue must be there, and the id differs from the event's so that a return finds its publish."""
    return Outgoing(topology.NOTIFICATIONS, routing_key, _bytes(event), message_id=f"{event.id}.addressed")


def _bytes(event: Envelope) -> bytes:
    return event.model_dump_json(exclude_none=True).encode()
