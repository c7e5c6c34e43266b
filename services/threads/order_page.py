"""One order for one caller: found, seen or not there, with its thread, its dispute, and what the caller may do."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from services.threads import access, views
from services.threads.access import Parties
from shared.callers import Caller
from shared.errors import not_found, refuse
from shared.fields import OrderId, Side
from shared.mongo import Database, Document
from shared.queries import DisputeView, OrderView

SUMMARY: Final[dict[str, Any]] = {"lists": 0, "talks": 0}
OWN_MARK: Final[dict[str, Any]] = {"seq": 1, "own": 1}


@dataclass(frozen=True, slots=True)
class Seen:
    """An order's thread that the caller sees, and from which side."""

    thread: Document
    parties: Parties
    side: Side


async def find(database: Database, caller: Caller, order_id: OrderId) -> Seen:
    """Raises not_found where there is no such order, or where it does not exist for this caller: in the same words."""
    return see(await database["threads"].find_one(in_shop(order_id), SUMMARY), caller, order_id)


def in_shop(order_id: OrderId) -> Document:
    """The thread of an order that the shop has published: marks may come before it."""
    return {"_id": order_id, "order": {"$exists": True}}


def see(thread: Document | None, caller: Caller, order_id: OrderId) -> Seen:
    """The thread for this caller. Raises not_found where there is none, and in the same words where they do not see it."""
    if thread is None:
        raise not_found(order_id)
    parties = views.parties_of(thread)
    side = access.side_of(caller, parties)
    if side is None:
        raise not_found(order_id)
    return Seen(thread, parties, side)


async def own_mark(database: Database, caller: Caller, order_id: OrderId) -> views.Mark:
    """The caller's own mark in this thread; the inbox's is in the projection."""
    return views.Mark.read(await database["reads"].find_one(of_person(order_id, caller), OWN_MARK))


def of_person(order_id: OrderId, caller: Caller) -> Document:
    """Their own mark in this thread."""
    return {"_id": f"{order_id}|{caller.person}"}


async def order(database: Database, caller: Caller, order_id: OrderId) -> OrderView:
    """The order at one's fingertips, in two round trips: who sees it, then everything at once."""
    seen = await find(database, caller, order_id)
    stored, mark, watching = await asyncio.gather(
        database["orders"].find_one({"_id": order_id}, {"snapshot": 1}),
        own_mark(database, caller, order_id),
        _is_watching(database, caller, order_id),
    )
    if stored is None:
        raise not_found(order_id)
    return views.order_view(seen.thread, stored["snapshot"], caller, seen.side, mark, watching=watching)


async def dispute(database: Database, caller: Caller, order_id: OrderId) -> DisputeView:
    """The newest dispute. Raises not_found where there has never been one."""
    seen = await find(database, caller, order_id)
    found = views.dispute_view(seen.thread.get("after", {}).get("dispute"))
    if found is None:
        raise refuse("not_found", f"There has been no dispute about order {order_id}.")
    return found


async def _is_watching(database: Database, caller: Caller, order_id: OrderId) -> bool | None:
    """None for whoever cannot watch."""
    if caller.side not in access.ALLOWED["watch"]:
        return None
    found = await database["watches"].find_one({"_id": f"{order_id}|{caller.key}"}, {"watching": 1})
    return found is not None and bool(found.get("watching", True))
