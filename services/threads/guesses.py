"""Where deciding starts from: a first guess of each thread's state, or, for certain, the newest entries themselves."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.recent import Recent
from services.threads.thread import Entry, State, Thread
from shared.mongo import Database

# States of the threads that this worker wrote to last.
KEPT: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Position:
    """A thread's state after its entry `seq`."""

    seq: int = 0
    state: State = field(default_factory=State)


class Guesses:
    """Whose an order is, is read from the orders each time; only what was last written in its thread is guessed."""

    def __init__(self, database: Database, *, log: Log, orders: Orders) -> None:
        self._threads, self._log, self._orders = database["threads"], log, orders
        self._recent: Recent[str, _Position] = Recent(KEPT)

    def remember(self, entries: Iterable[Entry]) -> None:
        """These were just committed, here: the projection will not show them for a moment."""
        for entry in entries:
            known = self._recent.find(entry.order_id)
            if known is None or known.seq < entry.seq:
                self._recent.keep(entry.order_id, _Position(entry.seq, entry.after))

    async def guess(self, order_ids: Iterable[str]) -> dict[str, Thread]:
        """The threads as this worker left them, or as the projection shows them where that is further.

        Either may lag behind another worker, so an insert may collide and nothing may be refused on it.
        """
        ids = list(order_ids)
        known = {each: position for each in ids if (position := self._recent.find(each)) is not None}
        parties, projected, others = await asyncio.gather(
            self._orders.parties(ids),
            self._seqs(list(known)),
            self._positions([each for each in ids if each not in known]),
        )
        behind = [order_id for order_id, seq in projected.items() if seq > known[order_id].seq]
        positions = known | others | await self._positions(behind)
        threads = {}
        for order_id, each in parties.items():
            position = positions.get(order_id, _Position())
            threads[order_id] = Thread(each, position.seq, position.state)
        return threads

    async def certain(self, order_ids: Iterable[str]) -> dict[str, Thread]:
        """The threads at their newest entries. One that is missing is of no order that is known."""
        ids = list(order_ids)
        parties, newest = await asyncio.gather(self._orders.parties(ids), self._log.newest(ids))
        self.remember(newest.values())
        threads = {}
        for order_id, each in parties.items():
            entry = newest.get(order_id)
            threads[order_id] = (
                Thread(each, certain=True) if entry is None else Thread(each, entry.seq, entry.after, certain=True)
            )
        return threads

    async def _seqs(self, order_ids: Sequence[str]) -> dict[str, int]:
        if not order_ids:
            return {}
        found = self._threads.find({"_id": {"$in": order_ids}}, {"seq": 1})
        return {document["_id"]: document.get("seq", 0) for document in await found.to_list()}

    async def _positions(self, order_ids: Sequence[str]) -> dict[str, _Position]:
        if not order_ids:
            return {}
        found = self._threads.find({"_id": {"$in": order_ids}, "seq": {"$exists": True}}, {"seq": 1, "after": 1})
        return {
            document["_id"]: _Position(document["seq"], State.read(document["after"]))
            for document in await found.to_list()
        }
