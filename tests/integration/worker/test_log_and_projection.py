"""What groups of entries come to in MongoDB: chains that break, places that are taken, threads that are not projected yet."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.states import States
from services.threads.thread import Entry, Made, Thread, decide
from tests.made import SELLER, post, snapshot

Document = dict[str, Any]
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def _chain(order_id: str, count: int) -> list[Entry]:
    """Successive entries of a thread, from its first on."""
    thread = Thread(Parties(order_id, "c-7", "s-1", guest=False))
    entries = []
    for number in range(count):
        decision = decide(post(f"number {number}", order_id=order_id), thread, digest="d", now=NOW)
        assert isinstance(decision, Made)
        thread = decision.thread
        entries.append(decision.entry)
    return entries


async def test_a_chain_stops_where_its_place_is_taken_and_the_other_threads_go_on(
    store: AsyncDatabase[Document],
) -> None:
    log = Log(store)
    whole, headless, broken, single = (_chain(order_id, 4) for order_id in ("whole", "headless", "broken", "single"))
    await log.insert([_chain("headless", 1)])
    await log.insert([[_chain("broken", 3)[2]]])

    inserted = await log.insert([whole, headless, broken, single[:1]])

    assert {entry.id for entry in inserted.committed} == {entry.id for entry in [*whole, *broken[:2], single[0]]}
    assert [entry.id for entry in inserted.refused] == [entry.id for entry in [*headless, *broken[2:]]]
    assert {order_id: entry.seq for order_id, entry in (await log.newest(["whole", "broken", "none"])).items()} == {
        "whole": 4,
        "broken": 3,
    }


async def test_the_newest_entries_are_found_without_looking_at_older_ones(store: AsyncDatabase[Document]) -> None:
    log = Log(store)
    await log.insert([_chain(f"order-{number}", 50) for number in range(10)])
    sent: list[Any] = []
    aggregate = store["entries"].aggregate

    class Watched:
        async def aggregate(self, pipeline: Any) -> Any:
            sent.append(pipeline)
            return await aggregate(pipeline)

    log._entries = Watched()  # type: ignore[assignment]  # to see the pipeline that is sent
    order_ids = [f"order-{number}" for number in range(10)]
    assert {entry.seq for entry in (await log.newest(order_ids)).values()} == {50}
    assert set((await log.newest_seqs(order_ids)).values()) == {50}
    for pipeline, is_covered in zip(sent, (False, True), strict=True):
        explained = await store.command(
            "explain", {"aggregate": "entries", "pipeline": pipeline, "cursor": {}}, verbosity="executionStats"
        )
        assert "DISTINCT_SCAN" in str(explained)
        assert ("FETCH" in str(explained)) is not is_covered


async def test_entries_of_many_threads_are_projected_at_once_and_late_ones_change_nothing(
    store: AsyncDatabase[Document],
) -> None:
    projection = Projection(store)
    known, unknown = _chain("known", 3), _chain("unknown", 2)
    await projection.write_order(snapshot("known"))
    await projection.write_entries([*known, *unknown])
    await projection.write_entries([known[0], replace(known[2], text="as it was never said"), unknown[0]])
    await projection.write_order(snapshot("unknown"))

    threads = {document["_id"]: document async for document in store["threads"].find()}
    assert {order_id: thread["seq"] for order_id, thread in threads.items()} == {"known": 3, "unknown": 2}
    assert threads["known"]["last"]["excerpt"] == "number 2"
    assert threads["known"]["unread"] == {"customer": 0, "seller": 3, "shop": 3}
    assert "customer:c-7/all" in threads["unknown"]["talks"]
    assert "new" not in threads["known"]


async def test_a_redacted_text_leaves_the_projection_and_does_not_come_back(store: AsyncDatabase[Document]) -> None:
    projection = Projection(store)
    await projection.write_order(snapshot())
    entry = _chain("1042", 1)[0]
    await projection.write_entries([entry])
    await projection.write_entries([replace(entry, text=None, redacted=True)])
    await projection.write_entries([entry])
    thread = await store["threads"].find_one({"_id": "1042"})
    assert thread is not None
    assert thread["last"]["excerpt"] is None


async def test_a_thread_is_read_as_the_log_has_it_whatever_this_worker_wrote_last(
    store: AsyncDatabase[Document],
) -> None:
    log, orders = Log(store), Orders(store)
    states = States(log=log, orders=orders)
    await orders.keep(snapshot())
    chain = _chain("1042", 3)
    assert (await states.newest(["1042"]))["1042"].seq == 0
    for end in (1, 3):
        await log.insert([chain[:end] if end == 1 else chain[1:]])
        states.remember(chain[:1])
        read = (await states.newest(["1042", "unknown"]))["1042"]
        assert (read.seq, read.state, read.certain) == (end, chain[end - 1].after, True)
    assert await states.newest(["unknown"]) == {}


async def test_whose_an_order_is_is_read_each_time(store: AsyncDatabase[Document]) -> None:
    orders = Orders(store)
    states = States(log=Log(store), orders=orders)
    await orders.keep(snapshot(customer=snapshot().customer.model_copy(update={"guest": True})))
    assert (await states.newest(["1042"]))["1042"].parties.guest
    await orders.keep(snapshot(version=2))
    assert not (await states.newest(["1042"]))["1042"].parties.guest


async def test_a_mail_shows_the_order_as_its_newest_snapshot_says(store: AsyncDatabase[Document]) -> None:
    orders = Orders(store)
    seen = []
    for version, status in ((1, "placed"), (2, "shipped")):
        await orders.keep(snapshot(version=version, status=status))
        parties = (await orders.parties(["1042"])).values()
        shown = [(await orders.for_mail(parties))["1042"] for _ in range(2)]
        assert shown[0] is shown[1]
        seen.append(shown[0].snapshot.status)
    assert seen == ["placed", "shipped"]
    assert SELLER.seller_id == shown[0].snapshot.seller_id
