"""Nobody's work makes others wait: commands that make no entry are applied beside posts, and a run through a whole inbox survives any crash."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pymongo import AsyncMongoClient
from uuid6 import uuid7

from services.threads import command_status, indexes
from services.threads.app import Worker, build_worker
from services.threads.marks import PAGE, Marks
from services.threads.metrics import Metrics
from services.threads.settings import Settings
from shared.callers import Caller
from shared.commands import MarksToSet, MarkThreadsRead, PreferencesToSet, SetPreferences
from shared.errors import ProblemError
from shared.mongo import Database, Document, connect, database
from tests.faults.threads import EFFECT_POINTS
from tests.integration.threads.documents import Shop
from tests.integration.threads.documents import customer as customer_of
from tests.integration.threads.documents import snapshot as small_snapshot
from tests.integration.worker.wire import Wire
from tests.made import CUSTOMER, OTHER_CUSTOMER, SELLER, SELLER_TOO, envelope, mark_read, new_id, post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

THREADS = PAGE + 3


@asynccontextmanager
async def working(parley: Parley, **settings: str) -> AsyncIterator[tuple[Worker, Database]]:
    """A worker in this process, so that a test can hold it at a step."""
    environment = parley.environment("threads") | settings
    made = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    client: AsyncMongoClient[Document] = connect(environment["MONGO_URL"], name="test")
    store = database(client, environment["MONGO_DATABASE"])
    await indexes.ensure(store)
    worker = build_worker(made, store, Metrics(CollectorRegistry()))
    worker.publisher.start()
    worker.commands.start()
    await worker.order_events.start()
    await eventually(lambda: worker.commands.is_consuming, what="the worker consuming")
    try:
        yield worker, store
    finally:
        await worker.stop(within_s=5)
        await client.close()


async def test_a_mark_that_takes_for_ever_holds_no_post_up(
    parley: Parley, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_marks, may_go_on = Marks.set, asyncio.Event()

    async def held(self: Marks, *args: Any, **named: Any) -> Any:
        await may_go_on.wait()
        return await set_marks(self, *args, **named)

    monkeypatch.setattr(Marks, "set", held)
    async with working(parley, GROUP_MAX="8") as (_, store):
        for order_id in ("1042", "1043"):
            await wire.order(snapshot(order_id))
        await wire.ask(post("known"))
        noise = [mark_read(number % 2, by=CUSTOMER) for number in range(100)]
        for command in noise:
            await wire.send(command)
        others = [post(f"number {number}", by=SELLER, order_id="1043") for number in range(60)]
        for each in others:
            await wire.send(each)
        await wire.until(lambda: all(each.id in wire.replies for each in others), timeout_s=60)
        assert {wire.replies[each.id][0].status for each in others} == {201}
        assert not any(command.id in wire.replies for command in noise)
        with pytest.raises(ProblemError, match="no command"):
            await command_status.find(store, CUSTOMER, noise[0].id)
        may_go_on.set()
        await wire.until(lambda: all(command.id in wire.replies for command in noise), timeout_s=60)
        assert {wire.replies[command.id][0].status for command in noise} == {200}


async def test_nobody_waits_for_a_run_through_an_inbox(
    parley: Parley, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[str] = []
    set_marks, other_is_through = Marks.set, asyncio.Event()

    async def watched(self: Marks, reader: Any, wishes: Any, **named: Any) -> Any:
        if len(wishes) > 1 and slices:
            await other_is_through.wait()
        slices.append(reader.caller.key)
        return await set_marks(self, reader, wishes, **named)

    monkeypatch.setattr(Marks, "set", watched)
    async with working(parley) as (_, store):
        await _talk(Shop(store), THREADS)
        run = _everything()
        await wire.send(run)
        await eventually(lambda: slices)
        own, others = mark_read(0, by=SELLER, order_id="o-0000"), mark_read(1, by=customer_of("c-1"), order_id="o-0001")
        await wire.order(snapshot())
        answers = await asyncio.gather(wire.ask(others), wire.ask(post("Hello")))
        assert [answer.status for answer in answers] == [200, 201]
        second = await wire.ask(_everything(SELLER_TOO))
        assert run.id not in wire.replies
        other_is_through.set()
        assert (await wire.ask(own)).status == 200
        await wire.until(lambda: run.id in wire.replies)
        assert second.problem is not None
        assert (second.status, second.problem.code) == (409, "conflict")
        assert (wire.replies[run.id][0].result or {})["marked"] == THREADS


@pytest.mark.parametrize("point", [f"after {point.name}" for point in EFFECT_POINTS])
async def test_a_run_that_is_killed_between_its_steps_marks_and_tells_all(
    point: str, parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document]
) -> None:
    store = database(mongo_client, parley.database_names["threads"])
    await indexes.ensure(store)
    await _talk(Shop(store), THREADS)
    deadly = parley.add("threads", label="deadly", module="tests.faults.threads", FAULT_AT=point).start()
    run = _everything()
    await wire.send(run)
    assert await asyncio.to_thread(deadly.wait_ended) == -9

    parley.start("threads")
    await wire.until(lambda: run.id in wire.replies, timeout_s=60)
    result = wire.replies[run.id][-1].result or {}
    assert (wire.replies[run.id][-1].status, result["marked"]) == (200, THREADS)
    assert await store["threads"].count_documents({"unread.seller": {"$gt": 0}}) == 0
    assert await store["reads"].count_documents({"seq": 1}) == THREADS
    told = {f"o-{number:04d}" for number in range(THREADS)}
    await wire.until(
        lambda: {each["subject"] for each in wire.events if each["type"] == "parley.thread.read.v1"} == told
    )
    await wire.until(
        lambda: {each["subject"] for each in wire.notifications if each["type"] == "parley.thread.read.v1"} == told
    )
    assert (await wire.ask(run)).result == result
    assert (await wire.ask(_everything())).result == {"threads": [], "marked": 0}


async def test_clicks_of_one_day_are_one_command_and_each_counts(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    wish = PreferencesToSet(person=OTHER_CUSTOMER.key, messages=False, disputes=False, renewed=True)
    click = SetPreferences(data=wish, **envelope())
    back = SetPreferences(data=PreferencesToSet(person=OTHER_CUSTOMER.key, messages=True), **envelope())
    for command in (click, back):
        assert (await wire.ask(command)).status == 200
    again = click.model_copy(update={"stamp": str(uuid7()), "time": datetime.now(UTC)})
    for _ in range(3):
        assert (await wire.ask(again)).status == 200
    store = mongo_client[parley.database_names["threads"]]
    chosen = await store["preferences"].find_one({"_id": OTHER_CUSTOMER.key})
    assert chosen is not None
    assert (chosen["messages"], chosen["disputes"]) == (False, False)
    assert await store["outcomes"].count_documents({}) == 2
    assert await store["outcomes"].count_documents({"_id": new_id()}) == 0


def _everything(by: Caller = SELLER) -> MarkThreadsRead:
    return MarkThreadsRead(data=MarksToSet(caller=by, all_threads=True), **envelope())


async def _talk(shop: Shop, count: int) -> None:
    for number in range(count):
        order_id = f"o-{number:04d}"
        await shop.place(small_snapshot(order_id))
        await shop.post(order_id, customer_of("c-1"))
