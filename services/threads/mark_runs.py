"""Marking everything in an inbox as read, in slices: how far each inbox's run has come, so that any worker can go on with it.

One run an inbox at a time. A run that was given up (its command lies in the dead letters) gives way to the next after a minute.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.threads.marks import ABOVE_ALL_POSITIONS
from shared.commands import MAX_THREADS_IN_ONE_COMMAND, MarkThreadsRead
from shared.contracts.keys import MAIN_SHOP, join_key
from shared.fields import OrderId
from shared.mongo import Database, Document

ABANDONED_AFTER_S: Final = 60.0
# So many threads are named in the answer, as in an answer to a list of them; of the others there is the number.
NAMED: Final = MAX_THREADS_IN_ONE_COMMAND


@dataclass(frozen=True, slots=True)
class Run:
    """How far it has come: everything above `position` is marked and told. `stamp` and `moment` are those of the first copy of its command.

    `slice` is what is being marked, (order id, up to seq), down to `slice_ends_at`: kept before it is marked, because what is marked is no longer
    unread and could not be found again, while nobody may have been told.
    """

    key: str
    command_id: str
    stamp: str
    moment: datetime
    position: str
    slice: Sequence[tuple[OrderId, int]]
    slice_ends_at: str
    marked: int
    named: Sequence[Document]

    @property
    def result(self) -> dict[str, object]:
        return {"threads": list(self.named), "marked": self.marked}


class MarkRuns:
    def __init__(self, database: Database, *, abandoned_after_s: float = ABANDONED_AFTER_S) -> None:
        self._runs = database["mark_runs"]
        self._abandoned_ms = round(abandoned_after_s * 1000)

    async def go_on(self, inbox: str, command: MarkThreadsRead) -> Run | None:
        """The command's run, begun or as it was left; None while another command's run of this inbox goes on."""
        key = join_key(inbox)
        begun = {
            "_id": key,
            "shop_id": MAIN_SHOP,
            "inbox": inbox,
            "command_id": command.id,
            "stamp": command.stamp,
            "moment": command.time,
            "position": ABOVE_ALL_POSITIONS,
            "slice": [],
            "marked": 0,
            "threads": [],
            "running": True,
        }
        is_free = {"$ne": [{"$ifNull": ["$running", False]}, True]}
        is_mine = {"$eq": ["$command_id", command.id]}
        is_abandoned = {"$lt": ["$touched_at", {"$subtract": ["$$NOW", self._abandoned_ms]}]}
        begins = {"$and": [{"$not": [is_mine]}, {"$or": [is_free, is_abandoned]}]}
        change: list[Document] = [
            {"$replaceWith": {"$cond": [begins, {"$literal": begun}, "$$ROOT"]}},
            {"$set": {"touched_at": {"$cond": [is_mine, "$$NOW", "$touched_at"]}}},
        ]
        document: Document | None = None
        while document is None:
            try:
                document = await self._runs.find_one_and_update(
                    {"_id": key}, change, upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:  # two first runs at once: the second try finds the other's
                continue
        return _run(document) if document["command_id"] == command.id else None

    async def plan(self, run: Run, wanted: Sequence[tuple[OrderId, int]], *, down_to: str) -> Run | None:
        """The run with its next slice, behind which it goes on at once where there is nothing in it; None where another worker was first."""
        mine = {"_id": run.key, "command_id": run.command_id, "position": run.position, "slice": []}
        kept = [{"order_id": order_id, "seq": seq} for order_id, seq in wanted]
        next_slice: Document = {"slice": kept, "slice_ends_at": down_to} if kept else {"position": down_to}
        planned = await self._runs.update_one(mine, {"$set": next_slice})
        return replace(run, slice=wanted, slice_ends_at=down_to) if planned.matched_count else None

    async def advance(self, run: Run, *, results: Sequence[Document]) -> None:
        """The slice is marked, and told. Another worker's that was first stands."""
        mine = {"_id": run.key, "command_id": run.command_id, "position": run.position}
        change: Any = {
            "$set": {"position": run.slice_ends_at, "slice": []},
            "$inc": {"marked": len(results)},
            "$push": {"threads": {"$each": list(results[:NAMED]), "$slice": NAMED}},
            "$currentDate": {"touched_at": True},
        }
        await self._runs.update_one(mine, change)

    async def end(self, inbox: str, command_id: str) -> None:
        """The outcome of the command's run is kept: the next may begin."""
        mine = {"_id": join_key(inbox), "command_id": command_id}
        await self._runs.update_one(mine, {"$set": {"running": False, "threads": []}})


def _run(document: Document) -> Run:
    return Run(
        key=document["_id"],
        command_id=document["command_id"],
        stamp=document["stamp"],
        moment=document["moment"],
        position=document["position"],
        slice=[(each["order_id"], each["seq"]) for each in document["slice"]],
        slice_ends_at=document.get("slice_ends_at", ""),
        marked=document["marked"],
        named=document["threads"],
    )
