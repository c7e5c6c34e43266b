"""Where deciding starts from: the projection as a first guess, or, for certain, the orders and the newest entries themselves."""

import asyncio
from collections.abc import Iterable

from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.thread import State, Thread
from shared.mongo import Database, Document

_FIELDS = {"order.customer.id": 1, "order.customer.guest": 1, "order.seller.id": 1, "seq": 1, "after": 1}


class Guesses:
    def __init__(self, database: Database, *, log: Log, orders: Orders) -> None:
        self._threads, self._log, self._orders = database["threads"], log, orders

    async def guess(self, order_ids: Iterable[str]) -> dict[str, Thread]:
        """The threads as the projection shows them; it may lag, so an insert may collide and nothing may be refused on it."""
        found = self._threads.find({"_id": {"$in": list(order_ids)}, "version": {"$exists": True}}, _FIELDS)
        return {document["_id"]: _guessed(document) for document in await found.to_list()}

    async def certain(self, order_ids: Iterable[str]) -> dict[str, Thread]:
        """The threads at their newest entries. One that is missing is of no order that is known."""
        ids = list(order_ids)
        parties, newest = await asyncio.gather(self._orders.parties(ids), self._log.newest(ids))
        threads = {}
        for order_id, each in parties.items():
            entry = newest.get(order_id)
            threads[order_id] = (
                Thread(each, certain=True) if entry is None else Thread(each, entry.seq, entry.after, certain=True)
            )
        return threads


def _guessed(document: Document) -> Thread:
    customer = document["order"]["customer"]
    parties = Parties(
        order_id=document["_id"],
        customer_id=customer["id"],
        seller_id=document["order"]["seller"]["id"],
        guest=customer["guest"],
    )
    if "after" not in document:
        return Thread(parties)
    return Thread(parties, document["seq"], State.read(document["after"]))
