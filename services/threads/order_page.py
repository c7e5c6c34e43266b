"""One order for one caller: found, seen or not there, with its thread, its dispute, and what the caller may do."""

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
MARK: Final = "own_mark"


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


async def find_with(
    database: Database, caller: Caller, order_id: OrderId, **also: tuple[str, list[Document]]
) -> tuple[Seen, views.Mark]:
    """The same with the caller's own mark, and in `thread` whatever else is named: a collection, and what to do with it.

    All in one round trip, which is most of what a page costs. What was read for somebody who does not see the order is thrown away with
    the answer not_found.
    """
    own_mark = [{"$match": {"_id": f"{order_id}|{caller.person}"}}, {"$project": {"seq": 1, "own": 1}}]
    joined = {MARK: ("reads", own_mark), **also}
    pipeline: list[Document] = [
        {"$match": in_shop(order_id)},
        {"$project": SUMMARY},
        *({"$lookup": {"from": source, "pipeline": stages, "as": name}} for name, (source, stages) in joined.items()),
    ]
    read = await (await database["threads"].aggregate(pipeline)).to_list()
    seen = see(read[0] if read else None, caller, order_id)
    return seen, views.Mark.read(next(iter(seen.thread[MARK]), None))


async def order(database: Database, caller: Caller, order_id: OrderId, *, shop: str) -> OrderView:
    """The order at one's fingertips. `shop` is what the shop is called."""
    snapshot: list[Document] = [{"$match": {"_id": order_id}}, {"$project": {"snapshot": 1}}]
    also = {"snapshots": ("orders", snapshot)}
    can_watch = caller.side in access.ALLOWED["watch"]
    if can_watch:
        own: list[Document] = [{"$match": {"_id": f"{order_id}|{caller.key}"}}, {"$project": {"watching": 1}}]
        also["watches"] = ("watches", own)
    seen, mark = await find_with(database, caller, order_id, **also)
    stored = seen.thread["snapshots"]
    if not stored:
        raise not_found(order_id)
    watching = any(each.get("watching", True) for each in seen.thread["watches"]) if can_watch else None
    return views.order_view(seen.thread, stored[0]["snapshot"], caller, seen.side, mark, watching=watching, shop=shop)


async def dispute(database: Database, caller: Caller, order_id: OrderId) -> DisputeView:
    """The newest dispute. Raises not_found where there has never been one."""
    seen = await find(database, caller, order_id)
    found = views.dispute_view(seen.thread.get("after", {}).get("dispute"))
    if found is None:
        raise refuse("not_found", f"There has been no dispute about order {order_id}.")
    return found
