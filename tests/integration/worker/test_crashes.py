"""A worker that is killed at any point loses nothing, doubles nothing, and leaves nothing half-done."""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.faults.threads import KILL_POINTS
from tests.integration.worker.wire import Wire
from tests.made import CUSTOMER, SELLER, post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

Document = dict[str, Any]
MOST_POSTS = 2_000


@pytest.fixture
async def store(parley: Parley, mongo_client: AsyncMongoClient[Document]) -> AsyncDatabase[Document]:
    """The database of threads, as it stands."""
    return mongo_client[parley.database_names["threads"]]


async def _nothing_unfinished(store: AsyncDatabase[Document]) -> bool:
    return await store["entries"].count_documents({"unfinished": True}) == 0


@pytest.mark.parametrize("point", KILL_POINTS)
async def test_a_kill_loses_nothing_and_doubles_nothing(
    point: str, parley: Parley, wire: Wire, store: AsyncDatabase[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    before = await wire.ask(post("before"))
    parley.services["threads"].stop()

    deadly = parley.add("threads", label="deadly", module="tests.faults.threads", FAULT_AT=point).start()
    command = post("in the middle", by=SELLER, seen_seq=1)
    await wire.send(command)
    assert await asyncio.to_thread(deadly.wait_ended) == -9

    parley.services["threads"].start()
    await wire.until(lambda: command.id in wire.event_ids(), timeout_s=30)
    answer = await wire.ask(command)
    assert (answer.status, (answer.result or {})["seq"]) == (201, 2)
    await eventually(lambda: _nothing_unfinished(store))
    entries = await store["entries"].find().sort("seq").to_list()
    assert [entry["_id"] for entry in entries] == [before.command_id, command.id]
    thread = await store["threads"].find_one({"_id": "1042"})
    assert thread is not None
    assert (thread["seq"], thread["unread"]) == (2, {"customer": 1, "seller": 0, "shop": 2})
    told = wire.told("parley.thread.read.v1")
    await wire.until(lambda: [(mark["inbox"], mark["up_to_seq"]) for mark in told()][:1] == [("seller", 1)])
    assert {each["id"] for each in wire.notifications if each["type"] == "parley.entry.addressed.v1"} == {
        before.command_id,
        command.id,
    }


async def test_an_entry_that_cannot_be_announced_takes_no_other_along(
    parley: Parley, wire: Wire, store: AsyncDatabase[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    for order_id in ("bad", "good"):
        await wire.order(snapshot(order_id))
    await eventually(lambda: store["orders"].find_one({"_id": "good"}), what="the orders")
    right = await store["orders"].find_one_and_update({"_id": "bad"}, {"$set": {"snapshot.total": "a lot"}})
    bad, good = post("about the bad one", order_id="bad"), post("about the good one", order_id="good")
    answers = await asyncio.gather(wire.ask(bad), wire.ask(good))
    assert [answer.status for answer in answers] == [201, 201]

    await wire.until(lambda: good.id in wire.event_ids())
    await eventually(lambda: store["entries"].find_one({"_id": good.id, "unfinished": {"$exists": False}}))
    late = post("after a sweep that met the bad one", order_id="good")
    threads = parley.services["threads"]
    await eventually(lambda: threads.log.count("entry_not_announced") > 1, what="a sweep")
    await wire.ask(late)
    await wire.until(lambda: late.id in wire.event_ids())
    assert bad.id not in wire.event_ids()

    assert right is not None
    await store["orders"].replace_one({"_id": "bad"}, right)
    await wire.until(lambda: bad.id in wire.event_ids(), timeout_s=30)
    await eventually(lambda: _nothing_unfinished(store))
    assert len([each for each in wire.notifications if each["id"] == bad.id]) == 1


async def test_two_workers_on_one_thread_leave_no_gap_and_no_duplicate(
    parley: Parley, wire: Wire, store: AsyncDatabase[Document], capsys: pytest.CaptureFixture[str]
) -> None:
    first = parley.add("threads", GROUP_MAX="128").start()
    second = parley.add("threads", label="threads-2", ROLES="worker", GROUP_MAX="128").start()
    await parley.ready()
    await wire.order(snapshot())
    await wire.ask(post("warm"))
    chains: list[list[str]] = [[], []]
    posted, collisions = 0, 0.0
    while collisions <= 50 and posted < MOST_POSTS:
        await _post_at_once(wire, chains, 500)
        posted += 500
        collisions = sum([await _metric(each.url, "parley_commit_collisions_total") for each in (first, second)])
    await eventually(lambda: _nothing_unfinished(store), timeout_s=30)

    entries = await store["entries"].find().sort("seq").to_list()
    assert [entry["seq"] for entry in entries] == list(range(1, posted + 2))
    places = {entry["_id"]: entry["seq"] for entry in entries}
    for chain in chains:
        assert [places[each] for each in chain] == sorted(places[each] for each in chain)
    await wire.until(lambda: set(places) <= set(wire.event_ids()))
    with capsys.disabled():
        print(f"\n{posted} posts on one thread by two workers, 500 at once: {collisions:.0f} collisions")
    assert collisions > 50


async def _post_at_once(wire: Wire, chains: list[list[str]], count: int) -> None:
    """Posts by two authors at the same time; every fifth names its author's previous one of these."""
    commands = []
    for number in range(count):
        chain = chains[number % 2]
        in_order = number % 5 == 0
        after = chain[-1] if chain and in_order else None
        command = post(f"number {number}", by=(CUSTOMER, SELLER)[number % 2], after=after)
        if in_order:
            chain.append(command.id)
        commands.append(command)
    await asyncio.gather(*(wire.send(command) for command in commands))
    await wire.until(lambda: all(command.id in wire.replies for command in commands), timeout_s=90)


async def _metric(url: str, name: str) -> float:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(name)))
