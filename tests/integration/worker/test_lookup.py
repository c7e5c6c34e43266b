"""What deciding starts from is read in one question: the same as its parts, and as cheaply."""

from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from services.threads import answers
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.lookup import Found, LookUp
from services.threads.orders import Orders
from services.threads.outcomes import Outcome, Outcomes
from services.threads.people import People
from services.threads.thread import Entry, Made, Thread, decide
from shared.callers import Caller
from shared.commands import WatchToSet
from tests.made import post, snapshot

Document = dict[str, Any]
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


async def _stored(store: AsyncDatabase[Document]) -> tuple[list[Entry], list[str]]:
    """Three orders, of which one has no entries; the entries; and the ids of commands with an outcome, the last one parked."""
    entries: list[Entry] = []
    for order_id in ("one", "two", "quiet"):
        await Orders(store).keep(snapshot(order_id))
    for order_id in ("one", "two"):
        thread = Thread(Parties(order_id, "c-7", "s-1", guest=False))
        for number in range(3):
            decision = decide(post(f"number {number}", order_id=order_id), thread, digest="d", now=NOW)
            assert isinstance(decision, Made)
            thread = decision.thread
            entries.append(decision.entry)
            await Log(store).insert([[decision.entry]])
    outcomes, refused, parked = Outcomes(store), post("refused"), post("parked")
    kept = Outcome(answers.done(refused.id, "one", {}), "d", "customer:c-7", "stamp")
    await outcomes.keep([kept], now=NOW)
    await outcomes.park(Outcome(answers.parked(parked.id, "one"), "d", "customer:c-7", "stamp"), now=NOW)
    for person, order_id, watching in (("a", "one", True), ("b", "one", False), ("a", "three", True)):
        wish = WatchToSet(
            order_id=order_id,
            caller=Caller(role="admin", id=person, name=person),
            watching=watching,
            email=f"{person}@shop.example",
            locale="en",
        )
        await People(store).watch(wish, stamp="stamp")
    return entries, [refused.id, parked.id]


async def test_it_finds_what_its_parts_find(store: AsyncDatabase[Document]) -> None:
    entries, commands = await _stored(store)
    ids, order_ids = [entries[1].id, *commands, "unknown"], ["one", "two", "quiet", "unknown"]
    found = await LookUp(store).read(ids, order_ids)

    assert found == Found(
        entries=await Log(store).find(ids),
        outcomes=await Outcomes(store).find(ids),
        parties=await Orders(store).parties(order_ids),
        seqs=await Log(store).newest_seqs(order_ids),
        watchers=await People(store).watchers(order_ids),
    )
    assert (set(found.entries), set(found.outcomes)) == ({entries[1].id}, {commands[0]})
    assert (set(found.parties), found.seqs) == ({"one", "two", "quiet"}, {"one": 3, "two": 3})
    assert [each.person for each in found.watchers] == ["admin:a"]


async def test_without_orders_it_asks_about_commands_alone(store: AsyncDatabase[Document]) -> None:
    entries, commands = await _stored(store)
    found = await LookUp(store).read([entries[0].id, commands[0]], [])
    assert (set(found.entries), set(found.outcomes)) == ({entries[0].id}, {commands[0]})
    assert (found.parties, found.seqs, found.watchers) == ({}, {}, [])


async def test_no_part_of_it_looks_at_more_than_it_finds(store: AsyncDatabase[Document]) -> None:
    entries, commands = await _stored(store)
    sent: list[Any] = []
    aggregate = store["entries"].aggregate

    class Watched:
        async def aggregate(self, pipeline: Any) -> Any:
            sent.append(pipeline)
            return await aggregate(pipeline)

    look_up = LookUp(store)
    look_up._entries = Watched()  # type: ignore[assignment]  # to see the pipeline that is sent
    await look_up.read([entries[0].id, *commands], ["one", "two"])
    explained = str(
        await store.command(
            "explain", {"aggregate": "entries", "pipeline": sent[0], "cursor": {}}, verbosity="executionStats"
        )
    )
    assert "COLLSCAN" not in explained
    assert "DISTINCT_SCAN" in explained
