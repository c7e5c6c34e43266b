"""What threads says of changed addresses: of each change, before its cause is acknowledged, and again where that comes again."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from uuid6 import uuid7

from services.threads import order_versions
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.shop_mailbox import ShopMailbox
from shared.commands import WatchThread, WatchToSet
from shared.contracts.contacts import order_version
from shared.events import ContactData
from shared.mongo import Database
from shared.orders import Customer, Seller
from shared.publishing import NotPublished
from tests.integration.worker.handling import Recorder, order_events
from tests.integration.worker.wire import Wire
from tests.made import ADMIN, new_id, post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

ADA = Customer(id="c-7", name="Ada", email="ada@example.com")


class Shop:
    """Says orders to a handler of order events, one after another."""

    def __init__(self, store: Database) -> None:
        self.recorder = Recorder()
        self._handler = order_events(orders=Orders(store), projection=Projection(store), recorder=self.recorder)

    async def says(self, version: int, *, minute: int = 0, **changes: Any) -> list[ContactData]:
        """What is published about it."""
        order = snapshot(version=version, **changes)
        said_at = order_versions.source_time(datetime(2026, 11, 1, 9, minute, tzinfo=UTC), None)
        await self._handler.take(order, source_time=said_at)
        return self.recorder.take()


@pytest.fixture
def shop(store: Database) -> Shop:
    return Shop(store)


def named(**changes: Any) -> Customer:
    return ADA.model_copy(update=changes)


async def test_the_first_snapshot_and_one_that_changes_no_address_are_not_told(shop: Shop) -> None:
    assert await shop.says(1) == []
    assert await shop.says(2, status="shipped") == []


@pytest.mark.parametrize(
    "changed",
    [{"email": "lovelace@example.com"}, {"email": None}, {"name": "Ada L."}, {"locale": "de"}],
    ids=lambda changed: next(iter(changed)),
)
async def test_whatever_is_changed_of_a_contact_is_told_with_all_of_it(shop: Shop, changed: dict[str, Any]) -> None:
    await shop.says(1)

    [contact] = await shop.says(2, customer=named(**changed))

    expected = {"name": "Ada", "email": "ada@example.com", "locale": "en", **changed}
    assert {name: getattr(contact, name) for name in expected} == expected
    assert (contact.shop_id, contact.thread_id, contact.role) == ("main", "1042", "customer")
    assert contact.version == order_version(2)
    assert (contact.unsubscribe_token is None, contact.address_key is None) == (contact.email is None,) * 2


async def test_customer_and_seller_have_versions_of_their_own(shop: Shop) -> None:
    await shop.says(1)
    seller = Seller(id="s-1", name="Fine Things", email="new@example.com")

    [first] = await shop.says(2, seller=seller)
    [second] = await shop.says(3, seller=seller, customer=named(email="new-too@example.com"))

    assert [(each.role, each.email, each.version) for each in (first, second)] == [
        ("seller", "new@example.com", order_version(2)),
        ("customer", "new-too@example.com", order_version(3)),
    ]
    assert second.address_key is not None
    assert first.address_key is None


async def test_a_guest_who_becomes_an_account_keeps_the_place_under_another_person(shop: Shop) -> None:
    await shop.says(1, customer=named(guest=True))

    [contact] = await shop.says(2, customer=Customer(id="c-new", name="Ada", email="ada@example.com"))

    assert (contact.role, contact.person, contact.guest) == ("customer", "customer:c-new", False)


async def test_a_snapshot_that_comes_again_is_told_again(shop: Shop) -> None:
    await shop.says(1)
    first = await shop.says(2, customer=named(email="new@example.com"))

    assert await shop.says(2, customer=named(email="new@example.com")) == first != []


async def test_a_change_whose_telling_was_lost_is_told_when_it_comes_again(shop: Shop) -> None:
    """Also where a later snapshot, which changes nothing of it, stands by then."""
    await shop.says(1)
    shop.recorder.is_away = True
    with pytest.raises(NotPublished):
        await shop.says(2, customer=named(email="new@example.com"))
    shop.recorder.is_away = False
    assert await shop.says(3, customer=named(email="new@example.com"), status="shipped") == []

    [contact] = await shop.says(2, customer=named(email="new@example.com"))

    assert (contact.email, contact.version) == ("new@example.com", order_version(2))


async def test_an_old_snapshot_that_comes_late_tells_what_stands(shop: Shop) -> None:
    await shop.says(1)
    await shop.says(3, customer=named(email="newest@example.com"))

    [contact] = await shop.says(2, customer=named(email="between@example.com"))

    assert (contact.email, contact.version) == ("newest@example.com", order_version(3))


async def test_of_one_version_the_later_change_has_the_greater_version(shop: Shop) -> None:
    await shop.says(1)
    [first] = await shop.says(2, minute=1, customer=named(email="first@example.com"))
    [second] = await shop.says(2, minute=2, customer=named(email="second@example.com"))
    [third] = await shop.says(2, minute=3, customer=named(email="first@example.com"))

    assert first.version < second.version < third.version < order_version(3)


async def test_what_the_release_before_may_have_changed_in_silence_is_told_at_the_next_change(
    shop: Shop, store: Database
) -> None:
    await shop.says(1)
    await store["orders"].update_one({}, {"$unset": {"contacts": "", "changes": ""}})

    told = await shop.says(2, status="shipped")

    assert [(each.role, each.version) for each in told] == [
        ("customer", order_version(2)),
        ("seller", order_version(2)),
    ]


def _watch(*, watching: bool, email: str | None = "staff@example.com") -> WatchThread:
    data = WatchToSet(order_id="1042", caller=ADMIN, watching=watching, email=email)
    return WatchThread(id=new_id(), stamp=str(uuid7()), time=datetime.now(UTC), data=data)


async def test_a_watch_and_its_end_are_told_and_an_older_one_that_comes_late_tells_what_stands(
    parley: Parley, wire: Wire
) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    await wire.ask(post("the order is there"))
    watches = [_watch(watching=True), _watch(watching=True, email="new@example.com"), _watch(watching=False)]

    for watch in watches:
        await wire.ask(watch)
    await wire.ask(watches[1])

    await eventually(lambda: len(_contacts(wire, "watcher")) == 4, what="four tellings")
    assert [(each.get("email"), each["version"]) for each in _contacts(wire, "watcher")] == [
        ("staff@example.com", watches[0].stamp),
        ("new@example.com", watches[1].stamp),
        (None, watches[2].stamp),
        (None, watches[2].stamp),
    ]


def _contacts(wire: Wire, role: str) -> list[dict[str, Any]]:
    return [event["data"] for event in wire.contacts if event["data"]["role"] == role]


async def test_the_shops_own_mailbox_is_told_at_each_start(parley: Parley, wire: Wire) -> None:
    for email in ("first@example.com", "first@example.com", "second@example.com", ""):
        process = parley.add("threads", ADMIN_EMAIL=email).start()
        await process.ready()
        process.kill()

    await eventually(lambda: len(_contacts(wire, "shop")) == 4, what="four tellings")
    assert [(each.get("email"), each["version"]) for each in _contacts(wire, "shop")] == [
        ("first@example.com", order_version(1)),
        ("first@example.com", order_version(1)),
        ("second@example.com", order_version(2)),
        (None, order_version(3)),
    ]
    assert all(each.get("thread_id") is None for each in _contacts(wire, "shop"))


async def test_where_there_never_was_a_mailbox_of_the_shop_nothing_is_told(store: Database) -> None:
    assert await ShopMailbox(store, email=None, locale="en", name="Shop").settle() == (None, None)
    assert await store["mailboxes"].find_one() is None


async def test_no_address_stands_in_what_is_told_to_everybody_or_in_a_log(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    await wire.order(snapshot(version=2, customer=named(email="somebody@secret.example")))
    await wire.ask(post("the order is there"))

    await eventually(lambda: len(_contacts(wire, "customer")) == 1, what="the telling")
    await wire.until(lambda: bool(wire.event_ids()))
    assert "@" not in json.dumps(wire.events)
    assert "somebody@secret.example" not in parley.services["threads"].log
