"""The history of a thread, a page at a time in the order of `seq`, and where the first new message is."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from services.threads import order_page, views
from services.threads.views import Mark
from shared.callers import Caller
from shared.fields import OrderId
from shared.mongo import Database, Document
from shared.queries import History, Message

# Own entries in a row behind one's own mark that are looked through one by one; beyond, the first new one is found by halving.
NEW_WITHIN: Final = 200

Direction = Literal["older", "newer"]
SHOWN: Final[dict[str, Any]] = {"after": 0, "digest": 0}


async def page(
    database: Database, caller: Caller, order_id: OrderId, *, before_seq: int | None, after_seq: int | None, limit: int
) -> History:
    """The newest entries, those below `before_seq`, or the first ones above `after_seq`; always ascending."""
    direction: Direction = "older" if after_seq is None else "newer"
    entries = _entries(order_id, before_seq=before_seq, after_seq=after_seq, limit=limit + 1)
    # 201 entries of 10,000 characters stay below a document's 16 MB.
    seen, mark = await order_page.find_with(database, caller, order_id, page=("entries", entries))
    found = seen.thread["page"]
    shown = sorted(found[:limit], key=lambda entry: int(entry["seq"]))
    items = [views.message(entry, caller.person, mark) for entry in shown]
    return History(
        items=items,
        first_new_seq=await first_new(database, seen.thread, caller.person, mark, items),
        last_seq=max(seen.thread.get("seq", 0), items[-1].seq if items else 0),
        next=_following(order_id, items, direction, limit) if len(found) > limit else None,
    )


def _entries(order_id: OrderId, *, before_seq: int | None, after_seq: int | None, limit: int) -> list[Document]:
    """One scan of the index (order_id, seq), from the side that was asked for."""
    where: Document = {"order_id": order_id}
    if after_seq is not None:
        where["seq"] = {"$gt": after_seq}
    elif before_seq is not None:
        where["seq"] = {"$lt": before_seq}
    order = -1 if after_seq is None else 1
    return [{"$match": where}, {"$sort": {"seq": order}}, {"$limit": limit}, {"$project": SHOWN}]


def _following(order_id: OrderId, items: Sequence[Message], direction: Direction, limit: int) -> str:
    behind = f"before_seq={items[0].seq}" if direction == "older" else f"after_seq={items[-1].seq}"
    return f"{views.messages_path(order_id)}?{behind}&limit={limit}"


async def first_new(
    database: Database, thread: Document, person: str, mark: Mark, items: Sequence[Message]
) -> int | None:
    """The first entry above the person's own mark that is not theirs; None where nothing is new.

    Mostly the page at hand or the kept numbers say it. Else it costs one scan of at most 200 entries, and where these are all
    the person's own, a few more reads of one entry each; never a walk through the thread.
    """
    floor = max(mark.seq, thread.get("after", {}).get("imported", 0))
    on_page = next((item.seq for item in items if item.new), None)
    starts_at_floor = bool(items) and items[0].seq <= floor + 1
    if (starts_at_floor and on_page is not None) or views.new_for(person, thread, mark) == 0:
        return on_page
    near = await _first_of_others(database, thread["_id"], person, floor)
    return near or await _first_by_halving(database, thread, person, mark, floor + NEW_WITHIN)


async def _first_of_others(database: Database, order_id: OrderId, person: str, floor: int) -> int | None:
    found = await database["entries"].find_one(
        {"order_id": order_id, "seq": {"$gt": floor, "$lte": floor + NEW_WITHIN}, "author.person": {"$ne": person}},
        {"seq": 1},
        sort=[("seq", 1)],
    )
    return None if found is None else int(found["seq"])


async def _first_by_halving(
    database: Database, thread: Document, person: str, mark: Mark, known_old: int
) -> int | None:
    """Every entry keeps how many each person had made by then, so "is anything new up to here?" needs that entry alone."""
    low, high = known_old, int(thread["seq"])
    while high - low > 1:
        middle = (low + high) // 2
        if await _is_any_new(database, thread["_id"], person, mark, middle):
            high = middle
        else:
            low = middle
    return high


async def _is_any_new(database: Database, order_id: OrderId, person: str, mark: Mark, seq: int) -> bool:
    entry = await database["entries"].find_one({"order_id": order_id, "seq": seq}, {"seq": 1, "after": 1})
    return entry is not None and views.new_for(person, entry, mark) > 0
