"""The read marks of persons, one document a person and thread: the truth that the inboxes' marks in the projection are rebuilt from.

`stamp`, `seq` and `own` are the person's mark. `inbox` ({stamp, seq}) is the newest of their wishes that moved the inbox's mark, and stands
there only where it is another one; `furthest` is the highest `seq` that they ever read, and stands there only where their mark went back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import BulkWriteError

from services.threads.entries import DUPLICATE_KEY
from shared.fields import OrderId, Side
from shared.mongo import Database, Document, own_of

Expression = Any


@dataclass(frozen=True, slots=True)
class Standing:
    """A mark as it stands: by which wish, where, and how far it ever was. `inbox_stamp` is that of the person's wish that moved the inbox."""

    stamp: str = ""
    seq: int = 0
    furthest: int = 0
    inbox_stamp: str = ""


NO_MARK: Final = Standing()


@dataclass(frozen=True, slots=True)
class PersonMark:
    """What becomes of a person's mark: it moves to `seq` (of which `own` entries are theirs), or the inbox's does, or both."""

    order_id: OrderId
    person: str
    side: Side
    stamp: str
    seq: int
    own: int
    moves: bool = True
    moves_inbox: bool = True

    @property
    def document_id(self) -> str:
        return document_id(self.order_id, self.person)

    def values(self) -> Document:
        return {
            "order_id": self.order_id,
            "person": self.person,
            "side": self.side,
            "stamp": self.stamp,
            "seq": self.seq,
            "own": self.own,
        }


def document_id(order_id: OrderId, person: str) -> str:
    return f"{order_id}|{person}"


class PersonMarks:
    def __init__(self, database: Database) -> None:
        self._reads = database["reads"]

    async def standing(self, ids: Collection[str]) -> dict[str, Standing]:
        """The marks with these document ids; one that there is none of is missing."""
        fields = {"stamp": 1, "seq": 1, "inbox": 1, "furthest": 1}
        found = await self._reads.find({"_id": {"$in": list(ids)}}, fields).to_list()
        return {each["_id"]: _standing(each) for each in found}

    async def write(self, marks: Sequence[PersonMark], *, missing: Collection[str]) -> None:
        """Writes the marks, one a document, each part unless a wish as new or newer stands; in two statements at most. May run twice.

        `missing` are the ids of documents that were just seen not to be there.
        """
        new = [_first(mark) for mark in marks if mark.document_id in missing]
        there = [mark for mark in marks if mark.document_id not in missing]
        if new:
            made_meanwhile = await self._insert(new)
            there += [mark for mark in marks if mark.document_id in made_meanwhile]
        if there:
            await self._reads.update_many({"_id": {"$in": [mark.document_id for mark in there]}}, _update(there))

    async def _insert(self, documents: Sequence[Document]) -> set[str]:
        """The ids of those that somebody else made meanwhile; they may be older."""
        try:
            await self._reads.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            details = error.details
            if details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
                raise
            return {documents[each["index"]]["_id"] for each in details["writeErrors"]}
        return set()


def _standing(document: Mapping[str, Any]) -> Standing:
    stamp, seq = document["stamp"], document["seq"]
    inbox_stamp, _ = inbox_part(document)
    return Standing(stamp, seq, furthest=document.get("furthest", seq), inbox_stamp=inbox_stamp)


def inbox_part(document: Mapping[str, Any]) -> tuple[str, int]:
    """The stamp and seq of the person's newest wish that moved the inbox's mark; ("", 0) where none did."""
    part = document.get("inbox", document)
    return part["stamp"], part["seq"]


def _first(mark: PersonMark) -> Document:
    """The document of a person who had none. A step forward that the inbox had made before moves their own mark alone."""
    document: Document = {"_id": mark.document_id, **mark.values()}
    return document if mark.moves_inbox else {**document, "inbox": {"stamp": "", "seq": 0}}


def _update(marks: Sequence[PersonMark]) -> list[Document]:
    """The two parts each under a guard of its own, and the furthest of all; what need not be said is left out again."""
    parts = {
        mark.document_id: {"mark": mark.values(), "moves": mark.moves, "moves_inbox": mark.moves_inbox}
        for mark in marks
    }
    stands = {"stamp": {"$ifNull": ["$inbox.stamp", "$stamp"]}, "seq": {"$ifNull": ["$inbox.seq", "$seq"]}}
    wished = {"stamp": "$new.mark.stamp", "seq": "$new.mark.seq"}
    moves = {"$and": ["$new.moves", {"$lt": ["$stamp", "$new.mark.stamp"]}]}
    moves_inbox = {"$and": ["$new.moves_inbox", {"$lt": [stands["stamp"], "$new.mark.stamp"]}]}
    merged: list[Expression] = [
        "$$ROOT",
        {"$cond": [moves, "$new.mark", {}]},
        {"inbox": {"$cond": [moves_inbox, wished, stands]}},
        {"furthest": {"$max": ["$furthest", "$seq", "$new.mark.seq"]}},
    ]
    left_out = {
        "inbox": {"$cond": [{"$eq": ["$inbox.stamp", "$stamp"]}, "$$REMOVE", "$inbox"]},
        "furthest": {"$cond": [{"$gt": ["$furthest", "$seq"]}, "$furthest", "$$REMOVE"]},
    }
    return [
        {"$set": {"new": own_of(parts)}},
        {"$replaceWith": {"$mergeObjects": merged}},
        {"$set": left_out},
        {"$unset": "new"},
    ]
