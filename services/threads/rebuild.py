"""Makes the projection anew from orders, entries and read marks, which are the truth; and says where it differs from them.

A document that cannot be read (an older release may have kept what this one refuses) is named, and takes no other along.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pymongo import ASCENDING, DESCENDING
from uuid6 import uuid7

from services.threads.entries import read_entry
from services.threads.indexes import INDEXES
from services.threads.orders import read_snapshot
from services.threads.person_marks import inbox_part
from services.threads.projection import InboxMark, Projection
from services.threads.thread import Entry, State
from shared.envelope import first_error
from shared.fields import Side
from shared.mongo import Database, Document, is_away, leniently
from shared.orders import OrderSnapshot

LIVE: Final = "threads"
AT_ONCE: Final = 500
# For how long threads that differ are looked at again, and when one that does not change any more is said to differ.
LOOK_AGAIN_S: Final = 20.0
STANDS_STILL_S: Final = 2.0
PAUSE_S: Final = 0.1
LEFT_BEHIND_AFTER: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class _Order:
    """A stored order, as it is projected."""

    snapshot: OrderSnapshot
    source_time: str | None

    @property
    def order_id(self) -> str:
        return self.snapshot.order_id


T = TypeVar("T")
P = TypeVar("P", _Order, Entry, InboxMark)
Write = Callable[[Sequence[P]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored document that cannot be read: of which order, and which one it is and why."""

    order_id: str
    what: str


@dataclass(slots=True)
class Rebuilt:
    """How many threads were made anew; and what could not be read, whose threads were left as they stand."""

    threads: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """The orders whose projection is not what a rebuild makes, and what could not be read to know."""

    orders: Sequence[str]
    unreadable: Sequence[Unreadable]


async def rebuild(database: Database) -> Rebuilt:
    """Replaces the projection by one made anew. A thread with a document that cannot be read stays as it stands.

    Workers may go on meanwhile: what they projected while the new one was made is applied to it once more afterwards, and
    the guards make that harmless.
    """
    scratch = f"{LIVE}_rebuilt_{uuid7().hex}"
    await database[scratch].create_indexes(list(INDEXES[LIVE]))
    made = await _project_all(database, scratch)
    await _keep_as_they_stand(database, scratch, {each.order_id for each in made.unreadable})
    await database[scratch].rename(LIVE, dropTarget=True)
    await _project_all(database, LIVE)
    return made


async def differences(database: Database) -> Difference:
    """Where the projection is not what a rebuild makes; what is just being written is looked at again before it is said."""
    scratch = f"{LIVE}_audited_{uuid7().hex}"
    try:
        rebuilt = await _project_all(database, scratch)
        made = {document["_id"]: document async for document in leniently(database[scratch]).find()}
        found = {document["_id"]: document async for document in leniently(database[LIVE]).find()}
    finally:
        await database[scratch].drop()
    unknown = {each.order_id for each in rebuilt.unreadable}
    differing = [each for each in (made.keys() | found.keys()) - unknown if made.get(each) != found.get(each)]
    return Difference(await _differing_still(database, differing), rebuilt.unreadable)


async def _differing_still(database: Database, order_ids: Iterable[str]) -> list[str]:
    """Looks again at threads that differed, for as long as they change under the look: what is being written is no fault.

    A fault is a projection that stands still and is not what a rebuild of what it has reached makes; or one that an entry has not
    reached that was committed a while ago.
    """
    until, faults = time.monotonic() + LOOK_AGAIN_S, []
    pending: dict[str, tuple[Document | None, float]] = {each: ({}, 0.0) for each in order_ids}
    while pending:
        for order_id, (last, since) in list(pending.items()):
            live, now = await _live(database, order_id), time.monotonic()
            if await _is_sound(database, order_id, live):
                del pending[order_id]
            elif now > until or (live == last and now - since > STANDS_STILL_S):
                faults.append(order_id)
                del pending[order_id]
            elif live != last:
                pending[order_id] = (live, now)
        await asyncio.sleep(PAUSE_S if pending else 0)
    return sorted(faults)


async def _is_sound(database: Database, order_id: str, live: Document | None) -> bool:
    made = await _made_up_to(database, order_id, live.get("seq") if live is not None else None)
    return made == live and not await _is_left_behind(database, order_id, live)


async def _live(database: Database, order_id: str) -> Document | None:
    return await leniently(database[LIVE]).find_one({"_id": order_id})


async def _made_up_to(database: Database, order_id: str, seq: int | None) -> Document | None:
    """What a rebuild makes of the order, its marks, and its entries up to this one."""
    scratch = f"{LIVE}_audited_{uuid7().hex}"
    projection = Projection(database, collection=scratch)
    try:
        order = await leniently(database["orders"]).find_one({"_id": order_id})
        if order is not None:
            read = _read_order(order)
            await projection.write_order(read.snapshot, source_time=read.source_time)
        entry = await leniently(database["entries"]).find_one({"order_id": order_id, "seq": seq}) if seq else None
        if entry is not None:
            await projection.write_entries([read_entry(entry)])
        marks, _ = await _marks(database, [order_id])
        if marks:
            await projection.write_marks(marks)
        return await leniently(database[scratch]).find_one({"_id": order_id})
    finally:
        await database[scratch].drop()


async def _is_left_behind(database: Database, order_id: str, live: Document | None) -> bool:
    """Whether an entry that is no news any more is not in the projection yet."""
    seq = live.get("seq", 0) if live is not None else 0
    old = datetime.now(UTC) - LEFT_BEHIND_AFTER
    later = {"order_id": order_id, "seq": {"$gt": seq}, "committed_at": {"$lt": old}}
    return await leniently(database["entries"]).find_one(later, {"_id": 1}) is not None


async def _keep_as_they_stand(database: Database, scratch: str, order_ids: Iterable[str]) -> None:
    async for document in leniently(database[LIVE]).find({"_id": {"$in": list(order_ids)}}):
        await database[scratch].replace_one({"_id": document["_id"]}, document, upsert=True)


async def _project_all(database: Database, collection: str) -> Rebuilt:
    """Threads with something unreadable are left out."""
    projection, rebuilt = Projection(database, collection=collection), Rebuilt()

    async def write_orders(orders: Sequence[_Order]) -> None:
        for order in orders:
            await projection.write_order(order.snapshot, source_time=order.source_time)

    async for documents in _orders(database):
        orders, bad = _read_each(documents, _read_order, "the order")
        order_ids = [order.order_id for order in orders]
        entries, bad_entries = _read_each(await _newest(database, order_ids), read_entry, "its newest entry")
        marks, bad_marks = await _marks(database, order_ids)
        bad += bad_entries + bad_marks
        bad += await _project(orders, write_orders, bad, "the order")
        bad += await _project(entries, projection.write_entries, bad, "its newest entry")
        bad += await _project(marks, projection.write_marks, bad, "a read mark")
        rebuilt.threads += len(documents) - len({each.order_id for each in bad})
        rebuilt.unreadable += bad
    return rebuilt


async def _project(parts: Sequence[P], write: Write[P], bad: Sequence[Unreadable], what: str) -> list[Unreadable]:
    """Writes the parts of threads of which everything could be read; where that fails, one by one, to name what MongoDB refuses."""
    left_out = {each.order_id for each in bad}
    good = [part for part in parts if part.order_id not in left_out]
    try:
        if good:
            await write(good)
        return []
    except Exception as error:
        if is_away(error):
            raise
        if len(good) == 1:
            return [Unreadable(good[0].order_id, f"{what} cannot be projected: {type(error).__name__}")]
    refused: list[Unreadable] = []
    for part in good:
        refused += await _project([part], write, (), what)
    return refused


def _read_each(
    documents: Iterable[Document], read: Callable[[Document], T], what: str
) -> tuple[list[T], list[Unreadable]]:
    """Those that can be read; and the others, named without what stands in them."""
    good: list[T] = []
    bad: list[Unreadable] = []
    for document in documents:
        try:
            good.append(read(document))
        except Exception as error:
            order_id = str(document.get("order_id", document["_id"]))
            bad.append(Unreadable(order_id, f"{what} cannot be read: {_why(error)}"))
    return good, bad


def _why(error: Exception) -> str:
    """The field where that is known, never its value: it may be an address or a text."""
    if isinstance(error, ValidationError):
        return first_error(error)
    return f"no {error}" if isinstance(error, KeyError) else type(error).__name__


def _read_order(document: Document) -> _Order:
    return _Order(read_snapshot(document["snapshot"]), document.get("source_time"))


async def _orders(database: Database) -> AsyncIterator[list[Document]]:
    batch: list[Document] = []
    async for document in leniently(database["orders"]).find().sort("_id", ASCENDING):
        batch.append(document)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _newest(database: Database, order_ids: list[str]) -> list[Document]:
    pipeline: list[dict[str, Any]] = [
        {"$match": {"order_id": {"$in": order_ids}}},
        {"$sort": {"order_id": ASCENDING, "seq": DESCENDING}},
        {"$group": {"_id": "$order_id", "newest": {"$first": "$$ROOT"}}},
    ]
    found = await leniently(database["entries"]).aggregate(pipeline, allowDiskUse=True)
    return [document["newest"] async for document in found]


async def _marks(database: Database, order_ids: list[str]) -> tuple[list[InboxMark], list[Unreadable]]:
    """Each inbox's newest mark, out of its persons' own ones, and how far any of them ever read."""
    newest: dict[tuple[str, Side], tuple[str, int]] = {}
    furthest: dict[tuple[str, Side], int] = {}
    reads = await leniently(database["reads"]).find({"order_id": {"$in": order_ids}}).to_list()
    good, bad = _read_each(reads, _read_mark, "a read mark")
    for read in good:
        newest[read.inbox] = max(newest.get(read.inbox, read.mark), read.mark)
        furthest[read.inbox] = max(furthest.get(read.inbox, 0), read.furthest)
    marks = []
    for (order_id, side), (stamp, seq) in newest.items():
        entry = await leniently(database["entries"]).find_one(
            {"order_id": order_id, "seq": seq}, {"order_id": 1, "after": 1}
        )
        states, unreadable = _read_each([entry] if entry else [], _state_after, f"entry {seq}")
        state = states[0] if states else State()
        own, ever = state.by_side[side], furthest[order_id, side]
        marks.append(InboxMark(order_id, side, stamp, seq, own, furthest=ever))
        bad += unreadable
    return marks, bad


@dataclass(frozen=True, slots=True)
class _Read:
    """What a person's mark says of their inbox's: the newest wish that moved it, (stamp, seq), and how far they ever read."""

    inbox: tuple[str, Side]
    mark: tuple[str, int]
    furthest: int


def _read_mark(document: Document) -> _Read:
    """The mark, if what is needed of it is there."""
    inbox, mark = (document["order_id"], document["side"]), inbox_part(document)
    furthest = document["furthest"] if "furthest" in document else document["seq"]
    return _Read(inbox, mark, furthest=int(furthest))


def _state_after(entry: Document) -> State:
    return State.read(entry["after"])
