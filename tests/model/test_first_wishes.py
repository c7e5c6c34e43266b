"""Two wishes of one person at the same moment, where nothing stands yet: the newer one must win, whichever MongoDB takes first."""

import asyncio

from pymongo.asynchronous.database import AsyncDatabase
from uuid6 import uuid7

from services.threads import indexes
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.marks import Marks, Reader, Wish
from services.threads.people import People
from services.threads.projection import Projection
from services.threads.recipients import Choices
from shared.commands import PreferencesToSet, WatchToSet
from shared.contracts.choices import Choice
from tests.made import ADMIN, SELLER, snapshot
from tests.servers.fixtures import Document

ROUNDS = 60


async def test_of_two_first_read_marks_at_once_the_newer_one_stands(database: AsyncDatabase[Document]) -> None:
    await indexes.ensure(database)
    projection = Projection(database)
    marks = Marks(database, log=Log(database), projection=projection)
    for number in range(ROUNDS):
        order = snapshot(f"o-{number}")
        await projection.write_order(order)
        parties = Parties(order.order_id, "c-7", "s-1", guest=False)
        older, newer = str(uuid7()), str(uuid7())
        reader = Reader(caller=SELLER, side="seller")
        await asyncio.gather(*(marks.set(reader, [Wish(parties, 0)], stamp=stamp) for stamp in (older, newer)))
        person = await database["reads"].find_one({"_id": f"{order.order_id}|{SELLER.person}"})
        inbox = await database["threads"].find_one({"_id": order.order_id})
        assert person is not None
        assert inbox is not None
        assert (person["stamp"], inbox["marks"]["seller"]["stamp"]) == (newer, newer)


async def test_of_two_first_choices_at_once_each_stands_where_it_is_the_newer_one(
    database: AsyncDatabase[Document],
) -> None:
    people = People(database)
    for number in range(ROUNDS):
        person = f"customer:{number}"
        older, newer = str(uuid7()), str(uuid7())
        off_in_french = PreferencesToSet(person=person, messages=False, locale="fr")
        in_german = PreferencesToSet(person=person, locale="de")
        await asyncio.gather(people.choose(off_in_french, stamp=older), people.choose(in_german, stamp=newer))
        since: dict[Choice, str] = {"messages": older, "disputes": ""}
        expected = Choices(messages=False, disputes=True, locale="de", since=since)
        assert (await people.choices([person]))[person] == expected


async def test_an_older_wish_that_comes_late_is_applied_to_what_the_newer_one_left_open(
    database: AsyncDatabase[Document],
) -> None:
    people = People(database)
    older, newer = str(uuid7()), str(uuid7())
    first = await people.choose(PreferencesToSet(person="customer:c-7", locale="de"), stamp=newer)
    late = await people.choose(PreferencesToSet(person="customer:c-7", messages=False, forget_locale=True), stamp=older)
    again = await people.choose(PreferencesToSet(person="customer:c-7", locale="de"), stamp=newer)
    since: dict[Choice, str] = {"messages": older, "disputes": ""}
    assert late.choices == Choices(messages=False, disputes=True, locale="de", since=since)
    assert again == late
    assert first.stamp < late.stamp


async def test_choices_of_before_they_had_stamps_of_their_own_are_as_old_as_their_one_stamp(
    database: AsyncDatabase[Document],
) -> None:
    people = People(database)
    older, old, new = str(uuid7()), str(uuid7()), str(uuid7())
    kept = {"_id": "customer:c-7", "messages": False, "disputes": True, "locale": "de", "stamp": old}
    await database["preferences"].insert_one(kept)
    late = await people.choose(PreferencesToSet(person="customer:c-7", messages=True), stamp=older)
    since: dict[Choice, str] = {"messages": old, "disputes": old}
    assert late.choices == Choices(messages=False, disputes=True, locale="de", since=since)
    now = await people.choose(PreferencesToSet(person="customer:c-7", messages=True), stamp=new)
    assert now.choices == Choices(messages=True, disputes=True, locale="de", since={**since, "messages": new})


async def test_of_two_first_watches_at_once_the_newer_one_stands(database: AsyncDatabase[Document]) -> None:
    people = People(database)
    for number in range(ROUNDS):
        order_id = f"o-{number}"
        older, newer = str(uuid7()), str(uuid7())
        on = WatchToSet(order_id=order_id, caller=ADMIN, watching=True, email="a@shop.example")
        off = WatchToSet(order_id=order_id, caller=ADMIN, watching=False)
        await asyncio.gather(people.watch(on, stamp=older), people.watch(off, stamp=newer))
        found = await database["watches"].find_one({"_id": f"{order_id}|{ADMIN.key}"})
        assert found is not None
        assert (found["stamp"], found["watching"]) == (newer, False)
