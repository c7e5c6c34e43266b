"""The projection `threads`: one document an order, for lists and badges. Nothing is decided on it.

Three parts, each with a guard of its own: the order's summary (`version` and `source_time`), the thread's newest state (`seq`), and the inboxes' marks
(`stamp`). A part is written only where the stored one is older, so writing twice or late changes nothing. What lists need
(`unread`, `lists`, `talks` and the sort positions) is computed by MongoDB from the merged document, in the same update.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from services.threads.entries import DUPLICATE_KEY
from services.threads.thread import SIDES, Entry
from shared.callers import SHOP_SELLER_ID
from shared.fields import Side
from shared.mongo import Database, own_of
from shared.orders import OrderSnapshot

EXCERPT_CHARACTERS: Final = 140
INSERT_RACES: Final = 5

Expression = Any
Stage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InboxMark:
    """The newest mark of an inbox: at `seq`, of which `own` are entries of that side. `furthest` is how far anybody of it ever read."""

    order_id: str
    side: Side
    stamp: str
    seq: int
    own: int
    furthest: int = 0


@dataclass(frozen=True, slots=True)
class InboxFigures:
    """What is new in an inbox, and how far anybody of it ever read."""

    unread: int
    furthest: int


class Projection:
    """Writes the projection. `collection` is another one while a rebuild makes it anew beside the live one."""

    def __init__(self, database: Database, *, collection: str = "threads") -> None:
        self._threads = database[collection]

    async def write_order(self, snapshot: OrderSnapshot, *, source_time: str | None = None) -> None:
        """`source_time` tells two snapshots of one version apart, as orders.py has it."""
        update = order_update(snapshot, source_time)
        await self._write([UpdateOne({"_id": snapshot.order_id}, update, upsert=True)])

    async def write_entries(self, entries: Sequence[Entry]) -> None:
        """Projects each thread's newest of these entries; a redacted one also replaces what stands at its own `seq`."""
        newest: dict[str, Entry] = {}
        for entry in sorted(entries, key=lambda entry: entry.seq):
            newest[entry.order_id] = entry
        if not newest:
            return
        written = await self._threads.update_many({"_id": {"$in": list(newest)}}, entries_update(newest.values()))
        if written.matched_count < len(newest):
            # A thread whose order is known and not projected yet; an update of many makes no documents.
            await self._write(
                [UpdateOne({"_id": each.order_id}, entries_update([each]), upsert=True) for each in newest.values()]
            )

    async def write_marks(self, marks: Sequence[InboxMark]) -> None:
        """Projects the marks, at most one of each side in a thread: one statement a side."""
        for side in SIDES:
            of_side = [mark for mark in marks if mark.side == side]
            if not of_side:
                continue
            order_ids = [mark.order_id for mark in of_side]
            written = await self._threads.update_many({"_id": {"$in": order_ids}}, marks_update(of_side))
            if written.matched_count < len(of_side):
                # As with entries: a thread that is not projected yet.
                await self._write(
                    [UpdateOne({"_id": mark.order_id}, marks_update([mark]), upsert=True) for mark in of_side]
                )

    async def inboxes(self, order_ids: Sequence[str]) -> dict[str, dict[Side, InboxFigures]]:
        """The figures of each inbox, by order."""
        found = self._threads.find({"_id": {"$in": list(order_ids)}}, {"unread": 1, "marks": 1})
        return {
            document["_id"]: {
                side: InboxFigures(document["unread"][side], furthest_of(document.get("marks", {}).get(side)))
                for side in SIDES
            }
            for document in await found.to_list()
        }

    async def _write(self, writes: list[UpdateOne]) -> None:
        """Two upserts of a new document may race; the one that loses is simply written again onto the other."""
        for _ in range(INSERT_RACES):
            if not writes:
                return
            try:
                await self._threads.bulk_write(writes, ordered=False)
                return
            except BulkWriteError as error:
                details = error.details
                if details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
                    raise
                writes = [writes[each["index"]] for each in details["writeErrors"]]
        raise RuntimeError("an upsert by _id lost the race every time, which cannot be")


def order_update(snapshot: OrderSnapshot, source_time: str | None = None) -> list[Stage]:
    """The order's summary where it is not older than what stands, and everything derived."""
    summary = {
        "status": snapshot.status,
        "placed_at": snapshot.placed_at,
        "url": snapshot.url,
        "customer": {"id": snapshot.customer.id, "name": snapshot.customer.name, "guest": snapshot.customer.guest},
        "seller": _seller(snapshot),
        "first_item": snapshot.items[0].name if snapshot.items else None,
        "item_count": len(snapshot.items),
        "total": snapshot.total,
        "currency": snapshot.currency,
    }
    stored_version = {"$ifNull": ["$version", -1]}
    not_older = {"$lte": [{"$ifNull": ["$source_time", ""]}, source_time or ""]}
    newer = {
        "$or": [
            {"$lt": [stored_version, snapshot.version]},
            {"$and": [{"$eq": [stored_version, snapshot.version]}, not_older]},
        ]
    }
    stage = _guarded(newer, {"version": snapshot.version, "order": summary})
    stage["$set"]["source_time"] = {"$cond": [newer, source_time or "$$REMOVE", _stored("$source_time")]}
    return [stage, *DERIVED]


def _seller(snapshot: OrderSnapshot) -> dict[str, str]:
    """What the shop is called is a setting, which may change: so its name is not kept here, and is said when it is asked for."""
    seller = snapshot.seller
    return {"id": SHOP_SELLER_ID, "name": ""} if seller is None else {"id": seller.id, "name": seller.name}


def entries_update(entries: Collection[Entry]) -> list[Stage]:
    """The threads' states after these entries (one a thread) where they are newer than what stands, and everything derived.

    One statement for all of them: each document finds its own by its `_id`. MongoDB reads the derivation once, which costs it a
    quarter of what one statement a thread does.
    """
    own = own_of({entry.order_id: _state(entry) for entry in entries})
    newer = {"$lt": [{"$ifNull": ["$seq", -1]}, "$new.above"]}
    fields = {name: {"$cond": [newer, f"$new.{name}", _stored(f"${name}")]} for name in ("seq", "after", "last")}
    return [{"$set": {"new": own}}, {"$set": fields}, *DERIVED, {"$unset": "new"}]


def _state(entry: Entry) -> dict[str, Any]:
    last = {
        "seq": entry.seq,
        "kind": entry.kind,
        "author": {"side": entry.author.side, "person": entry.author.person, "name": entry.author.name},
        "excerpt": entry.text[:EXCERPT_CHARACTERS] if entry.text is not None else None,
        "at": entry.accepted_at if entry.imported else entry.committed_at,
    }
    # A redaction replaces the excerpt at its own seq; the entry as it was before never can, so the text does not come back.
    above = entry.seq + 1 if entry.redacted else entry.seq
    return {"above": above, "seq": entry.seq, "after": entry.after.document(), "last": last}


def marks_update(marks: Collection[InboxMark]) -> list[Stage]:
    """The inboxes' marks, all of one side and one a thread, where their stamps are newer than what stands, and everything derived.

    How far an inbox ever read is kept where its mark has gone back.
    """
    (side,) = {mark.side for mark in marks}
    stands = f"$marks.{side}"
    values = {
        mark.order_id: {"mark": {"stamp": mark.stamp, "seq": mark.seq, "own": mark.own}, "furthest": mark.furthest}
        for mark in marks
    }
    newer = {"$lt": [{"$ifNull": [f"{stands}.stamp", ""]}, "$new.mark.stamp"]}
    furthest = {"$max": [f"{stands}.furthest", f"{stands}.seq", "$new.mark.seq", "$new.furthest"]}
    moved = {"$mergeObjects": [{"$cond": [newer, "$new.mark", stands]}, {"furthest": furthest}]}
    went_back = {"$gt": [f"{stands}.furthest", f"{stands}.seq"]}
    left_out = {f"marks.{side}.furthest": {"$cond": [went_back, f"{stands}.furthest", "$$REMOVE"]}}
    return [
        {"$set": {"new": own_of(values)}},
        {"$set": {f"marks.{side}": moved}},
        {"$set": left_out},
        *DERIVED,
        {"$unset": "new"},
    ]


def furthest_of(mark: Mapping[str, Any] | None) -> int:
    """How far an inbox ever read, by its stored mark."""
    return 0 if mark is None else int(mark.get("furthest", mark["seq"]))


def _guarded(newer: Expression, fields: dict[str, Any]) -> Stage:
    """Sets the fields where `newer` holds. Values are literals: a text that begins with `$` is a text, not an expression."""
    return {
        "$set": {name: {"$cond": [newer, {"$literal": value}, _stored(f"${name}")]} for name, value in fields.items()}
    }


def _stored(path: str) -> Expression:
    """What stands there, or nothing at all (not null) where nothing does."""
    return {"$ifNull": [path, "$$REMOVE"]}


def _counted(seq: Expression) -> Expression:
    """The entries up to `seq` that were not imported."""
    return {"$max": [0, {"$subtract": [seq, {"$ifNull": ["$after.imported", 0]}]}]}


def _unread(side: Side) -> Expression:
    """What is new for an inbox: `thread.new_entries`, said to MongoDB."""
    now = {"$subtract": [_counted({"$ifNull": ["$seq", 0]}), {"$ifNull": [f"$after.entries_by_side.{side}", 0]}]}
    mark_seq, mark_own = {"$ifNull": [f"$marks.{side}.seq", 0]}, {"$ifNull": [f"$marks.{side}.own", 0]}
    return {"$max": [0, {"$subtract": [now, {"$subtract": [_counted(mark_seq), mark_own]}]}]}


def _inbox(side: Side) -> Expression:
    return "shop" if side == "shop" else {"$concat": [f"{side}:", {"$ifNull": [f"$order.{side}.id", ""]}]}


def _has_inbox(side: Side, condition: Expression) -> Expression:
    """Where the shop itself sells, there is no seller's inbox: what is new is in the shop's."""
    if side != "seller":
        return condition
    return {"$and": [{"$ne": ["$order.seller.id", SHOP_SELLER_ID]}, condition]}


_TALKED: Final = {"$gt": [{"$ifNull": ["$seq", 0]}, 0]}
_DISPUTED: Final = {"$eq": ["$after.dispute.state", "open"]}


def _names(*, with_messages: bool) -> Expression:
    """The names of the lists that the thread stands in: `<inbox>/<filter>`."""
    always: Expression = {"$literal": True}
    filters: list[tuple[str, dict[Side, Expression]]] = [
        ("all", dict.fromkeys(SIDES, always)),
        ("unread", {side: {"$gt": [f"$unread.{side}", 0]} for side in SIDES}),
        ("disputed", dict.fromkeys(SIDES, _DISPUTED)),
    ]
    if with_messages:
        filters.append(("with_messages", dict.fromkeys(SIDES, _TALKED)))
    each = [
        {"$cond": [_has_inbox(side, condition), [{"$concat": [_inbox(side), f"/{name}"]}], []]}
        for name, conditions in filters
        for side, condition in conditions.items()
    ]
    return {"$concatArrays": each}


def _position(moment: Expression, condition: Expression) -> Expression:
    """A place in a list: a moment, and the order id to tell two of the same moment apart. One string, so one comparison."""
    at = {"$dateToString": {"date": moment, "format": "%Y-%m-%dT%H:%M:%S.%LZ"}}
    return {"$cond": [condition, {"$concat": [at, " ", "$_id"]}, "$$REMOVE"]}


def _has(path: str) -> Expression:
    return {"$gt": [path, None]}


DERIVED: Final[list[Stage]] = [
    {"$set": {"unread": {side: _unread(side) for side in SIDES}}},
    {
        "$set": {
            "lists": {"$cond": [_has("$order"), _names(with_messages=True), "$$REMOVE"]},
            "talks": {"$cond": [{"$and": [_has("$order"), _TALKED]}, _names(with_messages=False), "$$REMOVE"]},
            "placed": _position("$order.placed_at", _has("$order.placed_at")),
            "newest": _position("$last.at", _TALKED),
            "waiting": _position("$after.waiting_since", _has("$after.waiting_since")),
            "disputed": _position("$after.dispute.opened_at", _DISPUTED),
        }
    },
]
