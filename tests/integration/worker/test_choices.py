"""Choices by person and by address, on a real MongoDB: what a guest's link switches off, and what one more click takes back."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from services.threads.people import People
from shared.commands import PreferencesToSet, SetPreferences
from shared.contracts.choices import address_scope, decide
from shared.mongo import Database
from shared.orders import Customer, Seller
from tests.integration.worker.wire import Wire
from tests.made import SELLER, new_id, post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

GUEST, ACCOUNT = "guest:1042", "customer:c-acc"


@pytest.fixture
def stamps() -> Iterator[str]:
    """As commands have them, each newer than the one before."""
    return (f"019cb2d4-5a00-7c3e-8f21-{number:012x}" for number in itertools.count(1))


def off(person: str = GUEST) -> PreferencesToSet:
    """As a link says it."""
    return PreferencesToSet(person=person, messages=False, disputes=False, renewed=True)


async def test_one_click_takes_back_what_a_link_did_and_nothing_else(store: Database, stamps: Iterator[str]) -> None:
    people = People(store)
    before = await people.choose(PreferencesToSet(person=GUEST, disputes=False), stamp=next(stamps))
    await people.choose(off(), stamp=(click := next(stamps)))

    after = await people.take_back(click, stamp=next(stamps), scope=GUEST)

    assert after is not None
    assert (after.choices.messages, after.choices.disputes) == (True, False)
    assert after.choices.since == before.choices.since
    assert after.stamp > before.stamp


async def test_a_link_that_is_clicked_twice_is_taken_back_by_one_click(store: Database, stamps: Iterator[str]) -> None:
    people = People(store)
    await people.choose(off(), stamp=next(stamps))
    await people.choose(off(), stamp=(second := next(stamps)))

    after = await people.take_back(second, stamp=next(stamps), scope=GUEST)

    assert after is not None
    assert (after.choices.messages, after.choices.disputes) == (True, True)


async def test_what_was_chosen_since_the_click_stays(store: Database, stamps: Iterator[str]) -> None:
    people = People(store)
    await people.choose(off(), stamp=(click := next(stamps)))
    await people.choose(PreferencesToSet(person=GUEST, messages=False), stamp=next(stamps))

    for _ in range(2):
        after = await people.take_back(click, stamp=next(stamps), scope=GUEST)

    assert after is not None
    assert (after.choices.messages, after.choices.disputes) == (False, True)


async def test_a_click_that_is_taken_back_and_comes_again_late_changes_nothing(
    store: Database, stamps: Iterator[str]
) -> None:
    people = People(store)
    await people.choose(off(), stamp=(click := next(stamps)))
    await people.take_back(click, stamp=next(stamps), scope=GUEST)

    after = await people.choose(off(), stamp=click)

    assert (after.choices.messages, after.choices.disputes) == (True, True)


async def test_nothing_is_taken_back_where_nothing_was_chosen(store: Database, stamps: Iterator[str]) -> None:
    assert await People(store).take_back(next(stamps), stamp=next(stamps), scope=GUEST) is None
    assert await store["preferences"].find_one() is None


async def test_what_is_taken_back_for_an_address_does_not_outdo_what_an_account_chose(
    store: Database, stamps: Iterator[str]
) -> None:
    people, scope = People(store), address_scope("k")
    account = await people.choose(PreferencesToSet(person=ACCOUNT, messages=False), stamp=next(stamps))
    await people.choose(off(), stamp=(click := next(stamps)), scope=scope)

    address = await people.take_back(click, stamp=next(stamps), scope=scope)

    assert address is not None
    assert not decide([account.choices.said_of("messages"), address.choices.said_of("messages")])


def _set(stamps: Iterator[str], **wish: object) -> SetPreferences:
    data = PreferencesToSet.model_validate(wish)
    return SetPreferences(id=new_id(), stamp=next(stamps), time=datetime.now(UTC), data=data)


def _told(wire: Wire) -> list[list[str]]:
    """Whom each entry was addressed to, in the order of the entries; one that is for nobody is missing."""
    return [
        [each["person"] for each in event["data"]["recipients"]]
        for event in wire.notifications
        if event["type"] == "parley.entry.addressed.v1"
    ]


async def test_a_guest_who_unsubscribed_is_not_mailed_as_an_account_nor_about_a_second_order_until_the_account_says_so(
    parley: Parley, wire: Wire, stamps: Iterator[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    guest = Customer(id="g-1", name="Gus", email="gast@example.com", guest=True)
    other = guest.model_copy(update={"id": "g-2", "email": "Gast@Example.com"})
    silent = Seller(id="s-1", name="Fine Things")
    await wire.order(snapshot(customer=guest, seller=silent))
    await wire.order(snapshot("1043", customer=other, seller=silent))
    await wire.ask(post("first", by=SELLER))
    await wire.ask(_set(stamps, person=GUEST, messages=False, disputes=False, renewed=True))

    await wire.ask(post("about the second order", by=SELLER, order_id="1043"))
    account = guest.model_copy(update={"id": "c-acc", "guest": False})
    await wire.order(snapshot(version=2, customer=account, seller=silent))
    await wire.until(lambda: len(wire.contacts) > 1)
    await wire.ask(post("to the account", by=SELLER))
    answer = await wire.ask(_set(stamps, person=ACCOUNT, messages=True))
    assert answer.result == {"mails": {"messages": True, "disputes": False}, "locale": None, "time_zone": None}
    await wire.ask(post("to the account, which wants it", by=SELLER))
    await wire.ask(post("about the second order again", by=SELLER, order_id="1043"))

    await eventually(lambda: len(wire.event_ids()) == 5, what="five entries")
    await eventually(lambda: len(_told(wire)) == 2, what="two of them addressed")
    assert _told(wire) == [[GUEST], [ACCOUNT]]
    chosen = [
        event["data"]["person"] for event in wire.notifications if event["type"] == "parley.preferences.changed.v1"
    ]
    assert [each.partition("|")[0] for each in chosen] == [GUEST, "address", ACCOUNT]
    assert "gast@example.com" not in str(wire.notifications[1:2]).lower()


async def test_a_links_own_address_is_switched_off_and_not_the_one_that_the_order_has_by_now(
    parley: Parley, wire: Wire, stamps: Iterator[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot(customer=Customer(id="g-1", name="Gus", email="new@example.com", guest=True)))
    await wire.ask(post("first", by=SELLER))

    await wire.ask(_set(stamps, person=GUEST, messages=False, disputes=False, renewed=True, address_key="k" * 26))

    await eventually(lambda: len(wire.notifications) == 3, what="both choices told")
    chosen = [
        event["data"]["person"] for event in wire.notifications if event["type"] == "parley.preferences.changed.v1"
    ]
    assert chosen == [GUEST, f"address|{'k' * 26}"]


async def test_a_choice_about_one_order_holds_for_it_alone_until_a_newer_one_of_any_scope(
    parley: Parley, wire: Wire, stamps: Iterator[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    silent = Seller(id="s-1", name="Fine Things")
    for order_id in ("1042", "1043"):
        await wire.order(snapshot(order_id, seller=silent))
    me = "customer:c-7"
    here = await wire.ask(_set(stamps, person=me, order_id="1042", messages=False))
    assert here.order_id == "1042"
    on, off = {"messages": True, "disputes": True}, {"messages": False, "disputes": True}
    assert here.result == {"order_id": "1042", "mails": off, "everywhere": on}

    for order_id in ("1042", "1043"):
        await wire.ask(post("while this one is off", by=SELLER, order_id=order_id))
    await wire.ask(_set(stamps, person=me, messages=True))
    await wire.ask(post("all are on, said later", by=SELLER))
    await wire.ask(_set(stamps, person=me, messages=False))
    await wire.ask(post("all are off, said later still", by=SELLER))
    again = await wire.ask(_set(stamps, person=me, order_id="1042", messages=True))
    assert again.result == {"order_id": "1042", "mails": on, "everywhere": off}
    for order_id in ("1042", "1043"):
        await wire.ask(post("this one alone is on", by=SELLER, order_id=order_id))

    await eventually(lambda: len(wire.event_ids()) == 6, what="six entries")
    await eventually(lambda: len(_told(wire)) == 3, what="three of them addressed")
    told = [
        (event["data"]["order_id"], event["data"]["entry"]["text"])
        for event in wire.notifications
        if event["type"] == "parley.entry.addressed.v1"
    ]
    assert told == [
        ("1043", "while this one is off"),
        ("1042", "all are on, said later"),
        ("1042", "this one alone is on"),
    ]


async def test_a_guests_choice_about_an_order_stays_when_they_get_an_account_and_is_taken_back_by_one_click(
    parley: Parley, wire: Wire, stamps: Iterator[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    silent = Seller(id="s-1", name="Fine Things")
    guest = Customer(id="g-1", name="Gus", email="gast@example.com", guest=True)
    await wire.order(snapshot(customer=guest, seller=silent))
    click = _set(stamps, person=GUEST, order_id="1042", messages=False, disputes=False, renewed=True)
    await wire.ask(click)
    await wire.order(
        snapshot(version=2, customer=guest.model_copy(update={"id": "c-acc", "guest": False}), seller=silent)
    )
    await wire.until(lambda: len(wire.contacts) > 0)
    await wire.ask(post("not told", by=SELLER))

    await wire.ask(_set(stamps, person=GUEST, order_id="1042", undo=click.stamp))
    await wire.ask(post("told", by=SELLER))

    await eventually(lambda: len(wire.event_ids()) == 2, what="two entries")
    await eventually(lambda: _told(wire) == [[ACCOUNT]], what="the second is addressed")
    chosen = {event["data"]["person"] for event in wire.notifications if "preferences" in event["type"]}
    assert chosen == {"thread|1042|customer"}


async def test_whoever_has_no_part_in_an_order_chooses_nothing_about_it(
    parley: Parley, wire: Wire, stamps: Iterator[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    for person, order_id in (
        ("customer:c-8", "1042"),
        ("seller:s-2", "1042"),
        ("guest:1043", "1042"),
        ("shop", "1042"),
    ):
        answer = await wire.ask(_set(stamps, person=person, order_id=order_id, messages=False))
        assert (answer.state, answer.status) == ("rejected", 404), person
    assert (await wire.ask(_set(stamps, person="customer:c-7", order_id="1044", messages=False))).status == 404
    assert (await wire.ask(_set(stamps, person="admin:a-1", order_id="1042", messages=False))).status == 200
