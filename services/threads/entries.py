"""The log: one document an entry, whose insert is the commit point and, with `unfinished`, the outbox.

Both unique indexes guard it: `_id` (the command's id) makes an entry once, (order_id, seq) lets one writer win.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ASCENDING, DESCENDING, UpdateMany
from pymongo.errors import BulkWriteError

from services.threads.thread import Entry, Seen, State
from shared.callers import Author
from shared.fields import OrderId
from shared.mongo import Database, Document

DUPLICATE_KEY = 11000

Place = tuple[OrderId, int]


@dataclass(frozen=True, slots=True)
class Inserted:
    """What became of a set of entries: those that were committed, and those for which another writer holds the place."""

    committed: Sequence[Entry]
    refused: Sequence[Entry]


def document_of(entry: Entry) -> Document:
    document: Document = {
        "_id": entry.id,
        "order_id": entry.order_id,
        "seq": entry.seq,
        "kind": entry.kind,
        "author": {"side": entry.author.side, "person": entry.author.person, "name": entry.author.name},
        "text": entry.text,
        "accepted_at": entry.accepted_at,
        "committed_at": entry.committed_at,
        "digest": entry.digest,
        "reason": entry.reason,
        "outcome": entry.outcome,
        "redacted": entry.redacted,
        "imported": entry.imported,
        "after": entry.after.document(),
        "traceparent": entry.traceparent,
        "unfinished": True,
    }
    if entry.seen is not None:
        document["seen"] = {"seq": entry.seen.seq, "stamp": entry.seen.stamp}
    return document


def read_entry(document: Mapping[str, Any]) -> Entry:
    seen = document.get("seen")
    return Entry(
        id=document["_id"],
        order_id=document["order_id"],
        seq=document["seq"],
        kind=document["kind"],
        author=Author.model_construct(**document["author"]),
        text=document["text"],
        accepted_at=document["accepted_at"],
        committed_at=document["committed_at"],
        digest=document["digest"],
        reason=document["reason"],
        outcome=document["outcome"],
        redacted=document["redacted"],
        redacted_by=document.get("redacted_by"),
        imported=document["imported"],
        after=State.read(document["after"]),
        traceparent=document.get("traceparent"),
        seen=None if seen is None else Seen(seen["seq"], seen["stamp"]),
    )


class Log:
    """The entries of all threads. Every read is of what a majority has; every write waits for one."""

    def __init__(self, database: Database) -> None:
        self._entries = database["entries"]

    async def find(self, ids: Iterable[str]) -> dict[str, Entry]:
        """Those of the entries that are committed, by id."""
        found = await self._entries.find({"_id": {"$in": list(ids)}}).to_list()
        return {document["_id"]: read_entry(document) for document in found}

    async def which(self, ids: Iterable[str]) -> set[str]:
        """Which of these entries are committed."""
        found = self._entries.find({"_id": {"$in": list(ids)}}, {"_id": 1})
        return {document["_id"] for document in await found.to_list()}

    async def find_unfinished(self, ids: Iterable[str]) -> set[str]:
        """Which of these entries still have steps to do."""
        found = self._entries.find({"_id": {"$in": list(ids)}, "unfinished": True}, {"_id": 1})
        return {document["_id"] for document in await found.to_list()}

    async def newest(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Entry]:
        """The newest entry of each thread: the only ground for a refusal, and for deciding after a collision."""
        found = await (await self._entries.aggregate(_newest(order_ids, {"entry": {"$first": "$$ROOT"}}))).to_list()
        return {document["_id"]: read_entry(document["entry"]) for document in found}

    async def newest_seqs(self, order_ids: Sequence[OrderId]) -> dict[OrderId, int]:
        """The `seq` of each thread's newest entry, read from the index alone. A thread without entries is missing."""
        found = await (await self._entries.aggregate(newest_seqs_stages(order_ids))).to_list()
        return {document["_id"]: document["seq"] for document in found}

    async def states_at(self, places: Collection[Place]) -> dict[Place, State]:
        """The states of threads right after these entries; one that there is no such entry of is missing."""
        asked = [{"order_id": order_id, "seq": seq} for order_id, seq in places]
        found = self._entries.find({"$or": asked}, {"_id": 0, "order_id": 1, "seq": 1, "after": 1})
        return {(each["order_id"], each["seq"]): State.read(each["after"]) for each in await found.to_list()}

    async def last_before(self, order_id: OrderId, moment: datetime) -> Entry | None:
        """The newest entry that was committed by that moment."""
        document = await self._entries.find_one(
            {"order_id": order_id, "committed_at": {"$lte": moment}}, sort=[("seq", DESCENDING)]
        )
        return None if document is None else read_entry(document)

    async def insert(self, chains: Sequence[Sequence[Entry]]) -> Inserted:
        """Commits chains of new entries, each of one thread.

        The first of each chain go together, unordered: a thread whose place is taken holds no other up. Where chains are longer, what
        follows a committed first goes in one ordered insert: behind an entry that fails none of its thread is written, and the other
        threads go on.
        """
        heads = await self._insert([chain[0] for chain in chains], ordered=False)
        taken = {entry.order_id for entry in heads.refused}
        refused = [entry for chain in chains if chain[0].order_id in taken for entry in chain]
        rest = [entry for chain in chains if chain[0].order_id not in taken for entry in chain[1:]]
        committed = list(heads.committed)
        while rest:
            inserted = await self._insert(rest, ordered=True)
            committed += inserted.committed
            broken = inserted.refused[0].order_id if inserted.refused else None
            refused += [entry for entry in inserted.refused if entry.order_id == broken]
            rest = [entry for entry in inserted.refused if entry.order_id != broken]
        return Inserted(committed, refused)

    async def _insert(self, entries: Sequence[Entry], *, ordered: bool) -> Inserted:
        """Any other error than a duplicate key is an unknown outcome and is raised: nothing follows from it (see Committer)."""
        if not entries:
            return Inserted([], [])
        try:
            await self._entries.insert_many([document_of(entry) for entry in entries], ordered=ordered)
        except BulkWriteError as error:
            details = error.details
            if details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
                raise
            failed = {each["index"] for each in details["writeErrors"]}
            if ordered:
                failed = set(range(min(failed), len(entries)))
            return Inserted(
                [entry for index, entry in enumerate(entries) if index not in failed],
                [entry for index, entry in enumerate(entries) if index in failed],
            )
        return Inserted(entries, [])

    async def mark_finished(self, entries: Sequence[Entry]) -> None:
        """Removes `unfinished`: the entries are projected and their events confirmed.

        A redaction that came meanwhile has steps of its own, so the mark goes only where the entry is as it was when finished.
        """
        as_it_was = [entry.id for entry in entries if not entry.redacted]
        redacted = [entry.id for entry in entries if entry.redacted]
        writes = [
            UpdateMany({"_id": {"$in": ids}, "redacted": flag}, {"$unset": {"unfinished": ""}})
            for ids, flag in ((as_it_was, False), (redacted, True))
            if ids
        ]
        if writes:
            await self._entries.bulk_write(writes, ordered=False)

    async def unfinished(self, *, older_than_s: float, now: datetime, limit: int) -> list[Entry]:
        """Entries whose steps were left behind for a while, oldest first: what the sweeper finishes."""
        before = now - timedelta(seconds=older_than_s)
        found = self._entries.find({"unfinished": True, "committed_at": {"$lt": before}})
        documents = await found.sort([("committed_at", ASCENDING)]).limit(limit).to_list()
        return sorted((read_entry(document) for document in documents), key=lambda entry: (entry.order_id, entry.seq))

    async def redact(self, order_id: OrderId, message_id: str, *, by: str) -> Entry | None:
        """Takes the text out, for good, and marks the entry unfinished so that the event goes out. May run twice."""
        await self._entries.update_one(
            {"_id": message_id, "order_id": order_id, "redacted": False},
            {"$set": {"text": None, "redacted": True, "redacted_by": by, "unfinished": True}},
        )
        return (await self.find([message_id])).get(message_id)


def newest_seqs_stages(order_ids: Sequence[OrderId]) -> list[Document]:
    """An aggregation of entries: the `seq` of each thread's newest one, read from the index alone."""
    return _newest(order_ids, {"seq": {"$first": "$seq"}})


def _newest(order_ids: Sequence[OrderId], fields: Document) -> list[Document]:
    """Sorted against the index on (order_id, seq), so that MongoDB jumps from thread to thread and looks at one entry of each."""
    return [
        {"$match": {"order_id": {"$in": list(order_ids)}}},
        {"$sort": {"order_id": DESCENDING, "seq": DESCENDING}},
        {"$group": {"_id": "$order_id", **fields}},
    ]
