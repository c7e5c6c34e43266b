"""What is published about an entry, a mark or a choice: the event for everybody, and the addressed one for the notifier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from orjson import Fragment

from services.threads.access import Parties
from services.threads.addresses import AddressKeys
from services.threads.contacts import Contact
from services.threads.orders import OrderForMail
from services.threads.recent import Recent
from services.threads.recipients import Addressee, Choices, Watcher, addressees, one_a_mailbox, wanted
from services.threads.thread import Entry
from shared import topology
from shared.contracts.choices import scopes
from shared.envelope import Envelope
from shared.events import (
    ROUTING_KEY_OF_ENTRY,
    ChoicesMade,
    ContactChanged,
    ContactData,
    MarkMoved,
    MessageRedacted,
    PreferencesChanged,
    TextTakenOut,
    ThreadRead,
)
from shared.fields import OrderId
from shared.publishing import Outgoing
from shared.tokens import mint_guest_link, mint_unsubscribe

DAY_S: Final = 24 * 3600
KEPT_TOKENS: Final = 10_000

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MailContext:
    """What must be known to address an entry: the order, who watches it, and what people want."""

    orders: Mapping[str, OrderForMail]
    watchers: Sequence[Watcher]
    choices: Mapping[str, Choices]


class Announcements:
    """Makes the messages; pure but for the tokens that mails carry, which are signed with the link secret."""

    def __init__(
        self,
        *,
        link_secret: str,
        address_keys: AddressKeys,
        administrators: Addressee | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """`administrators`, the shop's own mailbox, is set before anything is announced, where there is one."""
        self._secret, self._address_keys, self.administrators = link_secret, address_keys, administrators
        self._clock = clock or (lambda: datetime.now(UTC))
        self._tokens: Recent[tuple[str, int], str] = Recent(KEPT_TOKENS)

    def addressees(self, entry: Entry, order: OrderForMail, watchers: Sequence[Watcher]) -> list[Addressee]:
        """Everybody whom the entry concerns, before preferences."""
        own = [each for each in watchers if each.order_id == entry.order_id]
        sold_by = order.snapshot.sold_by
        return addressees(entry, order.parties, sold_by=sold_by, watchers=own, administrators=self.administrators)

    def of_entry(self, entry: Entry, parties: Parties, context: MailContext) -> list[Outgoing]:
        """The event of the entry, its redaction if there was one, and the addressed event if there is anybody to mail.

        Raises KeyError where the context has no such order: a mail that nobody gets is not to pass for one that nobody wants.
        Written as JSON from plain values, without the contracts' models in between, which would cost most of a worker's time; that they
        are what the contracts say is a test's to watch.
        """
        made = _entry_made(entry, parties)
        key = ROUTING_KEY_OF_ENTRY[entry.kind]
        kind, at = f"parley.{key}.v1", entry.committed_at
        event = _json({**_envelope(entry), "type": kind, "data": made})
        outgoing = [
            Outgoing(topology.EVENTS, key, event, message_id=entry.id, mandatory=False, type=kind, timestamp=at)
        ]
        order = context.orders[entry.order_id]
        people = one_a_mailbox(
            wanted(self.addressees(entry, order, context.watchers), entry, context.choices, self.scopes_of)
        )
        if people:
            outgoing.append(self._addressed(entry, made, order, people))
        if entry.redacted:
            outgoing += _redaction(entry, parties, now=self._clock())
        return outgoing

    def _addressed(self, entry: Entry, made: Plain, order: OrderForMail, people: list[Addressee]) -> Outgoing:
        recipients = [self._recipient(each, order) for each in people]
        data = {**made, "order": Fragment(order.json), "item_count": order.item_count, "recipients": recipients}
        kind, at = "parley.entry.addressed.v1", entry.committed_at
        event = _json({**_envelope(entry), "type": kind, "data": data})
        key, message_id = ROUTING_KEY_OF_ENTRY[entry.kind], f"{entry.id}.addressed"
        return Outgoing(topology.NOTIFICATIONS, key, event, message_id=message_id, type=kind, timestamp=at)

    def _recipient(self, each: Addressee, order: OrderForMail) -> Plain:
        recipient: Plain = {
            "person": each.person,
            "inbox": each.inbox,
            "name": each.name,
            "email": each.email,
            "locale": each.locale,
            "version": each.version,
        }
        address_key = self._address_key(each.inbox, each.email)
        recipient["unsubscribe_token"] = self._unsubscribe_token(each.person, address_key)
        if address_key is not None:
            recipient["address_key"] = address_key
        if each.guest:
            recipient["guest_token"] = self._guest_token(order)
        return recipient

    def of_contact(self, contact: Contact, *, now: datetime, traceparent: str | None = None) -> Outgoing:
        """The event of a changed or withdrawn address, to the notifier alone. Its id is the same for every copy of one state."""
        place = f"{contact.thread_id}.{contact.role}" if contact.role in ("customer", "seller") else contact.role
        address_key = token = None
        if contact.email is not None:
            address_key = self._address_key(contact.role, contact.email)
            token = self._unsubscribe_token(contact.person, address_key)
        data = ContactData(
            thread_id=contact.thread_id,
            role=contact.role,
            person=contact.person,
            version=contact.version,
            name=contact.name,
            email=contact.email,
            locale=contact.locale,
            guest=contact.guest,
            address_key=address_key,
            unsubscribe_token=token,
        )
        changed = ContactChanged(
            id=f"{place}.{contact.version}", subject=contact.thread_id, time=now, traceparent=traceparent, data=data
        )
        return _notification(changed, routing_key="contact.changed")

    def scopes_of(self, each: Addressee, order_id: OrderId) -> tuple[str, ...]:
        """Whose choices count for mails to this addressee about this order."""
        return scopes(each.person, self._address_key(each.inbox, each.email), order_id)

    def _address_key(self, role: str, email: str) -> str | None:
        """Choices are kept by address on the customer's side alone."""
        return self.address_key(email) if role == "customer" else None

    def address_key(self, email: str) -> str:
        return self._address_keys.of(email)

    def _unsubscribe_token(self, person: str, address_key: str | None) -> str:
        """The same for a day: it lasts a year, and signing it anew for each entry would cost more than all else about the entry."""
        about = f"{person}|{address_key}"
        return self._once_a_day(
            about, lambda now: mint_unsubscribe(person, secret=self._secret, now=now, address_key=address_key)
        )

    def _guest_token(self, order: OrderForMail) -> str:
        customer, order_id = order.snapshot.customer, order.snapshot.order_id
        # All that is in the token: a name that was corrected is in the next one.
        about = f"{order_id}|{customer.id}|{customer.name}"
        return self._once_a_day(
            about, lambda now: mint_guest_link(order_id, customer.id, customer.name, secret=self._secret, now=now)
        )

    def _once_a_day(self, about: str, mint: Callable[[float], str]) -> str:
        now = self._clock().timestamp()
        day = int(now // DAY_S)
        kept = self._tokens.find((about, day))
        if kept is None:
            kept = mint(now)
            self._tokens.keep((about, day), kept)
        return kept


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


def _envelope(entry: Entry) -> Plain:
    envelope: Plain = {
        "specversion": "1.0",
        "id": entry.id,
        "source": "parley/threads",
        "subject": entry.order_id,
        "time": entry.committed_at,
        "datacontenttype": "application/json",
    }
    if entry.traceparent is not None:
        envelope["traceparent"] = entry.traceparent
    return envelope


def _entry_made(entry: Entry, parties: Parties) -> Plain:
    by, state = entry.author, entry.after
    said: Plain = {
        "id": entry.id,
        "seq": entry.seq,
        "kind": entry.kind,
        "author": {"side": by.side, "person": by.person, "name": by.name},
        "accepted_at": entry.accepted_at,
        "committed_at": entry.committed_at,
        "redacted": entry.redacted,
        "imported": entry.imported,
    }
    if entry.text is not None:
        said["text"] = entry.text
    thread: Plain = {"seq": entry.seq, "entries_by_side": state.by_side}
    if state.dispute is not None:
        thread["dispute"] = state.dispute.model_dump(exclude_none=True)
    if state.waiting_since is not None:
        thread["waiting_since"] = state.waiting_since
    return {
        "order_id": entry.order_id,
        "customer_id": parties.customer_id,
        "seller_id": parties.seller_id,
        "sold_by": parties.sold_by,
        "entry": said,
        "thread": thread,
    }


def _json(event: Plain) -> bytes:
    return orjson.dumps(event, option=orjson.OPT_UTC_Z)


def _redaction(entry: Entry, parties: Parties, *, now: datetime) -> list[Outgoing]:
    taken_out = TextTakenOut(
        order_id=entry.order_id,
        customer_id=parties.customer_id,
        seller_id=parties.seller_id,
        sold_by=parties.sold_by,
        message_id=entry.id,
        seq=entry.seq,
    )
    event = MessageRedacted(id=f"{entry.id}.redacted", subject=entry.order_id, time=now, data=taken_out)
    return [_event(event), _notification(event, routing_key="message.redacted")]


def _event(event: Envelope) -> Outgoing:
    """An event for everybody; whether anybody has bound a queue for it is not our affair."""
    key = event.type.removeprefix("parley.").rpartition(".")[0]
    return Outgoing(
        topology.EVENTS, key, _bytes(event), event.id, mandatory=False, type=event.type, timestamp=event.time
    )


def _notification(event: Envelope, *, routing_key: str) -> Outgoing:
    """An addressed event: the notifier's queue must be there, and the id differs from the event's so that a return finds its publish."""
    message_id = f"{event.id}.addressed"
    return Outgoing(
        topology.NOTIFICATIONS, routing_key, _bytes(event), message_id, type=event.type, timestamp=event.time
    )


def _bytes(event: Envelope) -> bytes:
    return event.model_dump_json(exclude_none=True).encode()
