"""What cannot be kept is refused whole; and a document that an older release kept, and that cannot be read, stops nothing else."""

from typing import Any

import pytest
from bson import DatetimeMS
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from services.threads import audit, order_events, rebuild
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.lookup import LookUp
from services.threads.orders import Orders, document_of
from services.threads.projection import Projection
from services.threads.thread import Entry, Made, Thread, decide
from shared import topology
from shared.orders import OrderSnapshot, order_event
from tests.extremes import MOMENTS_BEYOND
from tests.integration.extremes.cases import NOW
from tests.integration.worker.handling import order_events as handler_of
from tests.integration.worker.wire import Wire
from tests.made import post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

Document = dict[str, Any]
Store = AsyncDatabase[Document]
BEYOND = MOMENTS_BEYOND[0]


async def _ordered(store: Store, *order_ids: str) -> None:
    for order_id in order_ids:
        await handler_of(orders=Orders(store), projection=Projection(store)).take(snapshot(order_id))
        entries = _entries(order_id)
        await Log(store).insert([entries])
        await Projection(store).write_entries(entries)
        await Log(store).mark_finished(entries)


def _entries(order_id: str) -> list[Entry]:
    thread, entries = Thread(Parties(order_id, "c-7", "s-1", guest=False), certain=True), []
    for text in ("one", "two"):
        decision = decide(post(text, order_id=order_id), thread, digest="d", now=NOW)
        assert isinstance(decision, Made)
        thread = decision.thread
        entries.append(decision.entry)
    return entries


async def _keep_as_the_older_release_did(store: Store, order_id: str, **changes: Any) -> None:
    """It took any date, kept the order, and failed at the projection."""
    kept = document_of(snapshot(order_id))
    await store["orders"].replace_one(
        {"_id": order_id}, {**kept, "snapshot": {**kept["snapshot"], "placed_at": BEYOND, **changes}}, upsert=True
    )


async def _threads(store: Store) -> dict[str, Document]:
    return {document["_id"]: document async for document in store["threads"].find()}


async def test_nothing_of_an_order_is_kept_where_its_projection_cannot_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unstorable(_: OrderSnapshot, __: str | None) -> list[Document]:
        return [{"$set": {"version": 2**70}}]

    monkeypatch.setattr(order_events, "order_update", unstorable)
    with pytest.raises(OverflowError):
        await handler_of(orders=Orders(store), projection=Projection(store)).take(snapshot())

    assert await store["orders"].count_documents({}) == 0
    assert await _threads(store) == {}


async def test_an_order_that_cannot_be_shown_counts_as_unknown_until_its_shop_mends_it(store: Store) -> None:
    await _keep_as_the_older_release_did(store, "bad")
    orders = Orders(store)

    assert await orders.parties(["bad"]) == {}
    assert (await LookUp(store).read([], ["bad"])).parties == {}

    await handler_of(orders=orders, projection=Projection(store)).take(snapshot("bad", version=2))

    assert list(await orders.parties(["bad"])) == ["bad"]
    assert list((await LookUp(store).read([], ["bad"])).parties) == ["bad"]
    assert "order" in (await _threads(store))["bad"]


async def test_a_rebuild_names_what_cannot_be_read_leaves_it_as_it_stands_and_makes_all_others(store: Store) -> None:
    await _ordered(store, "a-good", "bad-date", "bad-entry", "bad-mark", "z-good")
    before = await _threads(store)
    await _keep_as_the_older_release_did(store, "bad-date")
    await _keep_as_the_older_release_did(store, "never-projected")
    await store["entries"].update_one({"order_id": "bad-entry", "seq": 2}, {"$unset": {"after": ""}})
    await store["reads"].insert_one({"_id": "bad-mark|customer", "order_id": "bad-mark", "side": "customer"})
    await store["threads"].delete_many({"_id": {"$in": ["a-good", "z-good"]}})

    rebuilt = await rebuild.rebuild(store)

    assert {each.order_id: each.what for each in rebuilt.unreadable} == {
        "bad-date": "the order cannot be read: placed_at: must be within the years 0001 to 9999 in UTC",
        "bad-entry": "its newest entry cannot be read: no 'after'",
        "bad-mark": "a read mark cannot be read: no 'stamp'",
        "never-projected": "the order cannot be read: placed_at: must be within the years 0001 to 9999 in UTC",
    }
    assert rebuilt.threads == 2
    assert await _threads(store) == before


async def test_a_rebuild_names_what_mongodb_cannot_project(store: Store) -> None:
    """A date that no calendar has, as only another tool can have written it."""
    await _ordered(store, "a-good", "bad-moment", "z-good")
    before = await _threads(store)
    await store["entries"].update_one(
        {"order_id": "bad-moment", "seq": 2}, {"$set": {"committed_at": DatetimeMS(2**62)}}
    )

    rebuilt = await rebuild.rebuild(store)

    assert [each.order_id for each in rebuilt.unreadable] == ["bad-moment"]
    assert "its newest entry cannot be projected" in rebuilt.unreadable[0].what
    assert await _threads(store) == before


async def test_the_audit_names_what_cannot_be_read_and_checks_all_others(store: Store) -> None:
    await _ordered(store, "a-good", "bad-date", "bad-log", "wrong", "z-good")
    await _keep_as_the_older_release_did(store, "bad-date")
    await store["entries"].update_one({"order_id": "bad-log", "seq": 1}, {"$set": {"author": "nobody"}})
    await store["threads"].update_one({"_id": "wrong"}, {"$set": {"unread.seller": 9}})

    audited = await audit.audit(store, now=NOW)

    assert (audited.threads, audited.entries) == (5, 10)
    assert {(each.order_id, each.what.partition(":")[0]) for each in audited.findings} == {
        ("bad-date", "the order cannot be read"),
        ("bad-log", "its log cannot be read"),
        ("wrong", "the projection differs from a rebuild"),
    }


@pytest.mark.parametrize("moment", MOMENTS_BEYOND)
async def test_an_order_event_with_a_moment_beyond_the_calendar_is_dead_and_nothing_of_it_is_kept(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document], moment: str
) -> None:
    parley.start("threads")
    await parley.ready()
    event = order_event(snapshot("bad"), source="test-shop", now=NOW).model_dump_json().encode()
    body = event.replace(b"2026-11-01T09:30:00Z", moment.encode())
    assert moment.encode() in body
    await wire.raw_order(body)
    await wire.order(snapshot("good"))
    database = mongo_client[parley.database_names["threads"]]
    dead = topology.dead_queue(topology.ORDERS_QUEUE)

    async def settled() -> bool:
        return await parley.vhost.depth(dead) == 1 and await database["threads"].count_documents({"_id": "good"}) == 1

    await eventually(settled)
    [letter] = await parley.vhost.take_all(dead)
    assert (letter.headers["x-parley-reason"], "placed_at" in str(letter.headers["x-parley-detail"])) == (
        "invalid",
        True,
    )
    assert [each["_id"] async for each in database["orders"].find()] == ["good"]


async def test_a_command_accepted_beyond_the_calendar_is_dead_alone(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    bad, good = post("bad"), post("good")
    body = bad.model_dump_json().replace(bad.model_dump(mode="json")["time"], BEYOND)
    await wire.raw_command(body.encode(), routing_key="message.post")

    assert (await wire.ask(good)).state == "done"
    dead = topology.dead_queue(topology.COMMANDS_QUEUE)

    async def is_dead() -> bool:
        return await parley.vhost.depth(dead) == 1

    await eventually(is_dead)
    [letter] = await parley.vhost.take_all(dead)
    assert letter.headers["x-parley-reason"] == "invalid"
