"""Where deciding starts from: whose an order is, and its thread's newest state, as orders and log say at this moment."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.recent import Recent
from services.threads.thread import Entry, State, Thread

# States of the threads that this worker wrote to last.
KEPT: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Position:
    """A thread's state after its entry `seq`."""

    seq: int = 0
    state: State = field(default_factory=State)


class States:
    """Reads, of what has not changed since this worker wrote it, only that it has not: the newest `seq`, from the index alone."""

    def __init__(self, *, log: Log, orders: Orders) -> None:
        self._log, self._orders = log, orders
        self._recent: Recent[str, _Position] = Recent(KEPT)

    def remember(self, entries: Iterable[Entry]) -> None:
        """These are committed."""
        for entry in entries:
            known = self._recent.find(entry.order_id)
            if known is None or known.seq < entry.seq:
                self._recent.keep(entry.order_id, _Position(entry.seq, entry.after))

    async def newest(self, order_ids: Iterable[str]) -> dict[str, Thread]:
        """The threads at their newest entries; another worker may be further in a moment, so an insert may collide.

        One that is missing is of no order that is known.
        """
        ids = list(order_ids)
        parties, seqs = await asyncio.gather(self._orders.parties(ids), self._log.newest_seqs(ids))
        return await self.at(parties, seqs)

    async def at(self, parties: Mapping[str, Parties], seqs: Mapping[str, int]) -> dict[str, Thread]:
        """The threads whose newest entries have just been seen to be at these `seq`; one without is without entries."""
        ids = list(parties)
        known = {each: position for each in ids if (position := self._recent.find(each)) is not None}
        moved = [order_id for order_id, seq in seqs.items() if order_id not in known or known[order_id].seq != seq]
        entries = await self._log.newest(moved) if moved else {}
        self.remember(entries.values())
        threads = {}
        for order_id, each in parties.items():
            entry = entries.get(order_id)
            if entry is not None:
                at = _Position(entry.seq, entry.after)
            else:
                at = known[order_id] if order_id in seqs else _Position()
            threads[order_id] = Thread(each, at.seq, at.state, certain=True)
        return threads
