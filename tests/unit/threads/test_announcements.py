"""The messages about an entry are written as plain JSON; they must be what the contracts say, to the last field."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from pydantic import TypeAdapter

from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements, MailContext
from services.threads.orders import OrderForMail
from services.threads.recipients import Addressee
from services.threads.thread import Entry, EntryCommand, Made, decide
from shared import topology
from shared.callers import SHOP_SELLER_ID
from shared.contracts.contacts import order_version
from shared.events import EVENT, NOTIFICATION, Event, Notification
from shared.orders import Customer, OrderSnapshot
from tests.made import CUSTOMER, SELLER, close_dispute, open_dispute, post, snapshot
from tests.unit.threads.test_thread import PARTIES, WITHOUT

SECRET = "link-secret-of-32-characters-and-more"
NOW = datetime(2026, 11, 23, 9, 0, 0, 120_000, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _entries() -> list[Entry]:
    """A question, an answer, a dispute opened, a post while it is open, and the dispute closed without a word."""
    thread, entries = WITHOUT, []
    closing = close_dispute(traceparent=TRACE)
    commands: list[EntryCommand] = [
        post("Wo ist\u2028es? 🙂"),
        post('$5 \\ "off"', by=SELLER),
        open_dispute(),
        post("still broken"),
        closing,
    ]
    for command in commands:
        decision = decide(command, thread, digest="d", now=NOW)
        assert isinstance(decision, Made)
        thread = decision.thread
        entries.append(decision.entry)
    return entries


def _context(order: OrderSnapshot) -> MailContext:
    return MailContext({order.order_id: OrderForMail.of(order, 7, order_version(order.version))}, [], {})


def _messages(entry: Entry, order: OrderSnapshot) -> dict[str, bytes]:
    announcements = Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET), clock=lambda: NOW)
    return {each.exchange: each.body for each in announcements.of_entry(entry, PARTIES, _context(order))}


def _assert_exact(contract: TypeAdapter[Event] | TypeAdapter[Notification], body: bytes) -> None:
    """Read by the contract and written again, it says the same: no field is missing, of another form, or one too many."""
    read = contract.validate_json(body)
    assert orjson.loads(read.model_dump_json(exclude_none=True)) == orjson.loads(body)


@pytest.mark.parametrize("entry", _entries(), ids=lambda entry: f"{entry.seq} {entry.kind}")
def test_what_is_published_about_an_entry_is_what_the_contracts_say(entry: Entry) -> None:
    messages = _messages(entry, snapshot())
    _assert_exact(EVENT, messages[topology.EVENTS])
    _assert_exact(NOTIFICATION, messages[topology.NOTIFICATIONS])


def test_an_order_that_the_shop_itself_sells_is_announced_with_the_shop_as_its_seller() -> None:
    mailbox = Addressee("shop", "shop", "Lamp House", "service@shop.example", "de", order_version(1))
    announcements = Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET), administrators=mailbox)
    order = snapshot(seller=None)
    parties = replace(PARTIES, seller_id=SHOP_SELLER_ID)
    context = MailContext({order.order_id: OrderForMail.of(order, 7, order_version(1), shop="Lamp House")}, [], {})
    [event, addressed] = announcements.of_entry(_entries()[0], parties, context)
    _assert_exact(EVENT, event.body)
    _assert_exact(NOTIFICATION, addressed.body)
    said = orjson.loads(addressed.body)["data"]
    assert (said["seller_id"], said["sold_by"]) == ("~shop", "shop")
    assert said["order"]["seller"] == {"id": "~shop", "name": "Lamp House", "locale": "en"}
    [recipient] = said["recipients"]
    assert (recipient["person"], recipient["inbox"], recipient["locale"]) == ("shop", "shop", "de")


def test_a_guest_is_addressed_with_a_token_for_the_thread() -> None:
    answer = _entries()[1]
    guest = snapshot(customer=Customer(id="c-7", name="Ada", email="ada@example.com", guest=True))
    addressed = NOTIFICATION.validate_json(_messages(answer, guest)[topology.NOTIFICATIONS])
    assert addressed.type == "parley.entry.addressed.v1"
    assert [each.guest_token is not None for each in addressed.data.recipients] == [True]
    _assert_exact(NOTIFICATION, _messages(answer, guest)[topology.NOTIFICATIONS])


def test_tokens_are_made_anew_each_day_and_when_a_name_is_corrected() -> None:
    moments = [NOW]
    announcements = Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET), clock=lambda: moments[-1])
    answer = _entries()[1]

    def tokens(name: str) -> tuple[str, str]:
        order = snapshot(customer=Customer(id="c-7", name=name, email="ada@example.com", guest=True))
        [_, addressed] = announcements.of_entry(answer, PARTIES, _context(order))
        [recipient] = orjson.loads(addressed.body)["data"]["recipients"]
        return recipient["guest_token"], recipient["unsubscribe_token"]

    first, again, corrected = tokens("Ada"), tokens("Ada"), tokens("Ada L.")
    moments.append(NOW + timedelta(days=1))
    next_day = tokens("Ada")
    assert first == again
    assert (first[0] != corrected[0], first[1] == corrected[1]) == (True, True)
    assert (first[0] != next_day[0], first[1] != next_day[1]) == (True, True)


def test_nobody_but_the_notifier_is_told_an_address() -> None:
    assert b"@" not in _messages(_entries()[0], snapshot())[topology.EVENTS]
    assert CUSTOMER.name.encode() in _messages(_entries()[0], snapshot())[topology.EVENTS]
