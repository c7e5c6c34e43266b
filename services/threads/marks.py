"""Read marks: each person's own, and each inbox's newest. The newest command wins, so a mark may go back to unread.

Marks of many threads are set in as many statements as those of one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.indexes import LISTS_PLACED
from services.threads.projection import InboxMark, Projection
from services.threads.stamped import write_newer_many
from services.threads.thread import State
from shared.callers import Caller
from shared.events import MarkMoved
from shared.fields import OrderId, Side
from shared.mongo import Database, Document

PAGE: Final = 200
ABOVE_ALL_POSITIONS: Final = "~"


@dataclass(frozen=True, slots=True)
class Reader:
    """A caller who has an inbox in the threads that they mark."""

    caller: Caller
    side: Side


@dataclass(frozen=True, slots=True)
class Wish:
    """Up to where a thread is read."""

    parties: Parties
    up_to_seq: int


@dataclass(frozen=True, slots=True)
class Marked:
    """Where a mark stands now. `changed` is false where the person's and the inbox's both stood there already, by an older wish."""

    moved: MarkMoved
    changed: bool


@dataclass(frozen=True, slots=True)
class UnreadThread:
    """A thread with something new for an inbox, as the projection has it; `position` is its place in the inbox's list of orders."""

    order_id: OrderId
    position: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class _Stands:
    """What was there before: by thread, the person's mark and the inbox's, each as (stamp, seq)."""

    persons: Mapping[OrderId, tuple[str, int]] = field(default_factory=dict)
    inboxes: Mapping[OrderId, tuple[str, int]] = field(default_factory=dict)


NO_MARK: Final = ("", 0)


class Marks:
    def __init__(self, database: Database, *, log: Log, projection: Projection) -> None:
        self._reads, self._threads = database["reads"], database["threads"]
        self._log, self._projection = log, projection

    async def set(self, reader: Reader, wishes: Sequence[Wish], *, stamp: str) -> dict[OrderId, Marked]:
        """Sets the person's mark in each thread and the inbox's, unless newer ones stand; a thread once. May run twice.

        A thread that has no entry `up_to_seq` is missing in the answer. Marks that stand already get the newer stamp, without which an older wish
        that comes late would win; nothing else is done about them.
        """
        order_ids = [wish.parties.order_id for wish in wishes]
        states, stands = await asyncio.gather(self._states(wishes), self._stands(reader, order_ids))
        valid = [wish for wish in wishes if wish.parties.order_id in states]
        if not valid:
            return {}
        await asyncio.gather(
            self._set_persons(reader, valid, states, stands, stamp),
            self._set_inboxes(reader, valid, states, stands, stamp),
        )
        unread = await self._projection.unread([wish.parties.order_id for wish in valid])
        return {
            wish.parties.order_id: Marked(
                _moved(wish, reader, unread[wish.parties.order_id][reader.side]), _is_change(wish, stands, stamp)
            )
            for wish in valid
        }

    async def _states(self, wishes: Sequence[Wish]) -> dict[OrderId, State]:
        """Each thread's state after the entry that its mark is set at."""
        states = {wish.parties.order_id: State() for wish in wishes if not wish.up_to_seq}
        asked = [(wish.parties.order_id, wish.up_to_seq) for wish in wishes if wish.parties.order_id not in states]
        return states | (await self._log.states_at(asked) if asked else {})

    async def _stands(self, reader: Reader, order_ids: Sequence[OrderId]) -> _Stands:
        person, side = reader.caller.person, reader.side
        ids = {f"{order_id}|{person}": order_id for order_id in order_ids}
        reads, threads = await asyncio.gather(
            self._reads.find({"_id": {"$in": list(ids)}}, {"stamp": 1, "seq": 1}).to_list(),
            self._threads.find({"_id": {"$in": list(order_ids)}}, {f"marks.{side}": 1}).to_list(),
        )
        of_side = {each["_id"]: (each.get("marks") or {}).get(side) for each in threads}
        return _Stands(
            persons={ids[each["_id"]]: (each["stamp"], each["seq"]) for each in reads},
            inboxes={order_id: (mark["stamp"], mark["seq"]) for order_id, mark in of_side.items() if mark},
        )

    async def _set_persons(
        self, reader: Reader, wishes: Sequence[Wish], states: Mapping[OrderId, State], stands: _Stands, stamp: str
    ) -> None:
        person = reader.caller.person
        documents: dict[str, Document] = {}
        missing: list[str] = []
        for wish in wishes:
            order_id = wish.parties.order_id
            if stands.persons.get(order_id, NO_MARK)[0] >= stamp:
                continue
            document_id = f"{order_id}|{person}"
            documents[document_id] = {
                "order_id": order_id,
                "person": person,
                "side": reader.side,
                "seq": wish.up_to_seq,
                "own": states[order_id].by_person.get(person, 0),
            }
            if order_id not in stands.persons:
                missing.append(document_id)
        await write_newer_many(self._reads, documents, stamp=stamp, missing=missing)

    async def _set_inboxes(
        self, reader: Reader, wishes: Sequence[Wish], states: Mapping[OrderId, State], stands: _Stands, stamp: str
    ) -> None:
        await self._projection.write_marks(
            [
                InboxMark(order_id, reader.side, stamp, wish.up_to_seq, states[order_id].by_side.get(reader.side, 0))
                for wish in wishes
                if stands.inboxes.get(order_id := wish.parties.order_id, NO_MARK)[0] < stamp
            ]
        )

    async def unread_threads(self, inbox: str, *, below: str) -> list[UnreadThread]:
        """The next threads of the inbox with something new, those of the newest orders first: for "mark all as read".

        In the order of the orders, which stays while new messages move threads up in other lists.
        """
        fields = {"placed": 1, "seq": 1, "last.at": 1}
        found = self._threads.find({"lists": f"{inbox}/unread", "placed": {"$lt": below}}, fields, hint=LISTS_PLACED)
        page = await found.sort("placed", -1).limit(PAGE).to_list()
        return [_unread_thread(document) for document in page]

    async def all_read(self, threads: Sequence[UnreadThread], moment: datetime) -> list[tuple[OrderId, int]]:
        """Up to where each of these threads was written at that moment; later entries the person cannot have meant.

        The projection may be a moment behind the log: it counts where the log has no newer entry.
        """
        seqs = await self._log.newest_seqs([thread.order_id for thread in threads])
        wanted = [
            (thread.order_id, thread.seq)
            if seqs.get(thread.order_id) == thread.seq and thread.at <= moment
            else (thread.order_id, await self.last_seen(thread.order_id, moment))
            for thread in threads
        ]
        return [(order_id, seq) for order_id, seq in wanted if seq]

    async def last_seen(self, order_id: str, moment: datetime) -> int:
        """The newest entry that was there at that moment."""
        entry = await self._log.last_before(order_id, moment)
        return 0 if entry is None else entry.seq


def _is_change(wish: Wish, stands: _Stands, stamp: str) -> bool:
    """A mark of this very stamp was set by an earlier delivery, whose event may not be out: it counts as a change."""
    order_id = wish.parties.order_id
    marks = stands.persons.get(order_id, NO_MARK), stands.inboxes.get(order_id, NO_MARK)
    return any(found_stamp >= stamp or seq != wish.up_to_seq for found_stamp, seq in marks)


def _moved(wish: Wish, reader: Reader, unread: int) -> MarkMoved:
    return MarkMoved(
        order_id=wish.parties.order_id,
        customer_id=wish.parties.customer_id,
        seller_id=wish.parties.seller_id,
        sold_by=wish.parties.sold_by,
        inbox=reader.side,
        person=reader.caller.person,
        up_to_seq=wish.up_to_seq,
        unread=unread,
    )


def _unread_thread(document: Mapping[str, Any]) -> UnreadThread:
    return UnreadThread(
        order_id=document["_id"],
        position=document["placed"],
        seq=document["seq"],
        at=document["last"]["at"],
    )
