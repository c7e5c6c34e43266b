"""Makes the projection anew from orders, entries and read marks, which are the truth; and says where it differs from them."""

from collections.abc import AsyncIterator
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from uuid6 import uuid7

from services.threads.entries import read_entry
from services.threads.indexes import INDEXES
from services.threads.projection import InboxMark, Projection
from services.threads.thread import Entry, State
from shared.fields import Side
from shared.mongo import Database, Document
from shared.orders import OrderSnapshot

LIVE: Final = "threads"
AT_ONCE: Final = 500


async def rebuild(database: Database) -> int:
    """Replaces the projection by one made anew; says how many threads it has.

    Workers may go on meanwhile: what they projected while the new one was made is applied to it once more afterwards, and
    the guards make that harmless.
    """
    scratch = f"{LIVE}_rebuilt_{uuid7().hex}"
    await database[scratch].create_indexes(list(INDEXES[LIVE]))
    count = await _project_all(database, scratch)
    await database[scratch].rename(LIVE, dropTarget=True)
    await _project_all(database, LIVE)
    return count


async def differences(database: Database) -> list[str]:
    """The orders whose projection is not what a rebuild makes. On a busy system, those that are just being written as well."""
    scratch = f"{LIVE}_audited_{uuid7().hex}"
    try:
        await _project_all(database, scratch)
        made = {document["_id"]: document async for document in database[scratch].find()}
        found = {document["_id"]: document async for document in database[LIVE].find()}
    finally:
        await database[scratch].drop()
    return sorted(order_id for order_id in made.keys() | found.keys() if made.get(order_id) != found.get(order_id))


async def _project_all(database: Database, collection: str) -> int:
    projection = Projection(database, collection=collection)
    count = 0
    async for snapshots in _orders(database):
        order_ids = [snapshot.order_id for snapshot, _ in snapshots]
        for snapshot, source_time in snapshots:
            await projection.write_order(snapshot, source_time=source_time)
        await projection.write_entries(await _newest(database, order_ids))
        marks = [mark async for mark in _marks(database, order_ids)]
        if marks:
            await projection.write_marks(marks)
        count += len(snapshots)
    return count


async def _orders(database: Database) -> AsyncIterator[list[tuple[OrderSnapshot, str | None]]]:
    """The snapshots with their source times, by batches."""
    batch: list[tuple[OrderSnapshot, str | None]] = []
    async for document in database["orders"].find().sort("_id", ASCENDING):
        batch.append((OrderSnapshot.model_validate(document["snapshot"]), document.get("source_time")))
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _newest(database: Database, order_ids: list[str]) -> list[Entry]:
    pipeline: list[dict[str, Any]] = [
        {"$match": {"order_id": {"$in": order_ids}}},
        {"$sort": {"order_id": ASCENDING, "seq": DESCENDING}},
        {"$group": {"_id": "$order_id", "newest": {"$first": "$$ROOT"}}},
    ]
    found = await database["entries"].aggregate(pipeline, allowDiskUse=True)
    return [read_entry(document["newest"]) async for document in found]


async def _marks(database: Database, order_ids: list[str]) -> AsyncIterator[InboxMark]:
    """Each inbox's newest mark, out of its persons' own ones."""
    newest: dict[tuple[str, Side], Document] = {}
    async for read in database["reads"].find({"order_id": {"$in": order_ids}}):
        key = (read["order_id"], read["side"])
        if key not in newest or newest[key]["stamp"] < read["stamp"]:
            newest[key] = read
    for (order_id, side), read in newest.items():
        entry = await database["entries"].find_one({"order_id": order_id, "seq": read["seq"]}, {"after": 1})
        state = State.read(entry["after"]) if entry is not None else State()
        yield InboxMark(order_id, side, read["stamp"], read["seq"], state.by_side[side])
