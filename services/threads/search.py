"""Searching a list by keyword: it walks the caller's own list, a bounded stretch a request, and says how far it came.

There is no text index: it would have to be searched for everybody and then filtered, and finds words, not parts of them.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.threads import lists, views
from services.threads.cursors import Cursors
from services.threads.folding import fold
from services.threads.lists import Listing
from services.threads.snippets import snippet
from shared.callers import Caller
from shared.fields import OrderId
from shared.mongo import Database, Document
from shared.queries import Snippet, ThreadPage, ThreadSort

MAX_THREADS: Final = 500
MAX_ENTRIES: Final = 20_000
CHUNK_THREADS: Final = 100
SEARCH_LIMIT_MS: Final = 2_000
BEYOND_ASCII: Final = r"[^\x00-\x7f]"
TEXTS_IN_A_BATCH: Final = 200

SEARCHED: Final[dict[str, Any]] = {
    "seq": 1,
    "order.customer.name": 1,
    "order.seller": 1,
    "order.first_item": 1,
    "placed": 1,
    "newest": 1,
    "waiting": 1,
    "disputed": 1,
}


@dataclass(frozen=True, slots=True)
class Keywords:
    """What is looked for, taken literally and folded: every word, in any order, each the beginning of an order number or a part of all else.

    `shop` is what the shop is called: it stands where a seller would.
    """

    number: str
    shop: str
    words: frozenset[str]

    @classmethod
    def of(cls, text: str, *, shop: str) -> "Keywords":
        """People write order numbers as `#1042`, too."""
        return cls(
            number=text.strip().removeprefix("#"), shop=shop, words=frozenset(map(_without_sign, fold(text).split()))
        )

    def missing_on_the_face_of(self, thread: Document) -> frozenset[str]:
        """The words that the order's number, people and first item do not show."""
        order, number = thread["order"], fold(str(thread["_id"]))
        seller = views.seller_view(order["seller"], self.shop).name
        face = [fold(text) for text in (order["customer"]["name"], seller, order["first_item"] or "")]
        return frozenset(
            word for word in self.words if not number.startswith(word) and not any(word in text for text in face)
        )


def _without_sign(word: str) -> str:
    return word.removeprefix("#") or word


@dataclass(slots=True)
class Walk:
    """How far a search has come: what it found (`hits`: the newest entry of a thread with one of the words), behind which position it goes on, and whether the list has ended."""

    position: str
    wanted: int
    found: list[str]
    hits: dict[OrderId, int] = field(default_factory=dict)
    searched: int = 0
    entries: int = 0
    ended: bool = False

    @property
    def goes_on(self) -> bool:
        is_bounded = self.searched < MAX_THREADS and self.entries < MAX_ENTRIES
        return not self.ended and is_bounded and len(self.found) < self.wanted


async def page(
    database: Database,
    caller: Caller,
    listing: Listing,
    *,
    cursors: Cursors,
    cursor: str | None,
    limit: int,
    sort: ThreadSort | None,
    shop: str,
) -> ThreadPage:
    """A page of what is found: an order of exactly that number at once, then the list from the cursor on."""
    keywords = Keywords.of(listing.q or "", shop=shop)
    if not keywords.words:
        # Nothing but diacritics and the like.
        return ThreadPage(items=[], next=None, searched=0)
    exact = await _exactly(database, listing, keywords) if cursor is None else []
    start = cursors.read(cursor, listing.identity) if cursor is not None else ""
    walk = Walk(position=start, wanted=limit - len(exact), found=[])
    while walk.goes_on:
        await _walk_on(database, listing, keywords, walk)
    threads = exact + await _load(database, listing, walk.found)
    rows = await lists.rows(database, caller, listing.side, threads, shop=shop)
    found = await _snippets(
        database, caller, keywords, {each: walk.hits[each] for each in walk.found if each in walk.hits}
    )
    items = [row.model_copy(update={"snippet": found.get(row.order.order_id)}) for row in rows]
    if walk.ended:
        return ThreadPage(items=items, next=None, searched=walk.searched)
    following, behind = listing.following(cursors, after=walk.position, limit=limit, sort=sort)
    return ThreadPage(items=items, next=following, cursor=behind, searched=walk.searched)


async def _exactly(database: Database, listing: Listing, keywords: Keywords) -> list[Document]:
    """The order with that number, if it stands in the list, however far back."""
    if listing.only not in (None, keywords.number):
        return []
    in_list = {**listing.member, "_id": keywords.number, listing.position: {"$exists": True}}
    found = await database["threads"].find_one(in_list, lists.ROW)
    return [] if found is None else [found]


async def _load(database: Database, listing: Listing, order_ids: Sequence[str]) -> list[Document]:
    """The rows found, in the order of the list; one that has left the list meanwhile is left out."""
    if not order_ids:
        return []
    threads = (
        await database["threads"].find({"_id": {"$in": order_ids}, listing.names: listing.key}, lists.ROW).to_list()
    )
    return sorted(threads, key=lambda thread: order_ids.index(thread["_id"]))


async def _walk_on(database: Database, listing: Listing, keywords: Keywords, walk: Walk) -> None:
    """Looks through the next chunk, as far as the bounds allow, and stops where enough is found."""
    room = min(CHUNK_THREADS, MAX_THREADS - walk.searched)
    chunk = await listing.find(database, after=walk.position, limit=room, projection=SEARCHED)
    within = _within_bounds(chunk, MAX_ENTRIES - walk.entries)
    missing = {thread["_id"]: keywords.missing_on_the_face_of(thread) for thread in within}
    walk.hits |= await _find_in_texts(database, [thread for thread in within if missing[thread["_id"]]], missing)
    for thread in within:
        walk.searched += 1
        walk.entries += thread.get("seq", 0)
        walk.position = thread[listing.position]
        # The exact number was answered on the first page, wherever it stands.
        if not missing[thread["_id"]] and thread["_id"] != keywords.number:
            walk.found.append(thread["_id"])
        if len(walk.found) == walk.wanted:
            break
    walk.ended = len(chunk) < room and (not chunk or walk.position == chunk[-1][listing.position])


def _within_bounds(chunk: Sequence[Document], entries_left: int) -> list[Document]:
    """The threads of the chunk whose texts may still be looked at; always one, so that a search comes to its end."""
    within: list[Document] = []
    for thread in chunk:
        entries_left -= thread.get("seq", 0)
        if within and entries_left < 0:
            break
        within.append(thread)
    return within


async def _find_in_texts(
    database: Database, threads: Sequence[Document], missing: dict[OrderId, frozenset[str]]
) -> dict[OrderId, int]:
    """Takes out of `missing` what stands in a text of these threads; of one longer than the bound, the newest texts are looked at.

    Answers the `seq` of each one's newest text with any of the words. First in MongoDB, which finds the words as they are written; then here, in the texts with other letters than ASCII's, folded.
    """
    talked = {thread["_id"]: thread["seq"] for thread in threads if thread.get("seq", 0) > 0}
    if not talked:
        return {}
    words = sorted(frozenset.union(*(missing[order_id] for order_id in talked)))
    oldest = max(talked.values()) - MAX_ENTRIES if len(talked) == 1 else 0
    hits: dict[OrderId, int] = {}
    for order_id, (found, seq) in (await _as_written(database, list(talked), words, above=oldest)).items():
        missing[order_id] -= found
        hits[order_id] = seq
    for order_id, seq in (
        await _folded(database, [order_id for order_id in talked if missing[order_id]], missing, above=oldest)
    ).items():
        hits[order_id] = max(seq, hits.get(order_id, 0))
    return hits


async def _as_written(
    database: Database, order_ids: Sequence[OrderId], words: Sequence[str], *, above: int
) -> dict[OrderId, tuple[frozenset[str], int]]:
    """By thread, which of the words stand in its texts, and the newest of these."""
    patterns = [re.escape(word) for word in words]
    has = [{"$regexMatch": {"input": "$text", "regex": pattern, "options": "i"}} for pattern in patterns]
    any_word = {"$regex": "|".join(patterns), "$options": "i"}
    stages: list[Document] = [
        {"$match": {**_entries_of(order_ids, above=above), "text": any_word}},
        {
            "$group": {
                "_id": "$order_id",
                "seq": {"$max": "$seq"},
                **{f"w{number}": {"$max": each} for number, each in enumerate(has)},
            }
        },
    ]
    cursor = await database["entries"].aggregate(stages, maxTimeMS=SEARCH_LIMIT_MS)
    return {
        found["_id"]: (frozenset(word for number, word in enumerate(words) if found[f"w{number}"]), found["seq"])
        async for found in cursor
    }


async def _folded(
    database: Database, order_ids: Sequence[OrderId], missing: dict[OrderId, frozenset[str]], *, above: int
) -> dict[OrderId, int]:
    """The same for what is written in another way; answers the newest text of each that has one. Others have their turn between the batches."""
    hits: dict[OrderId, int] = {}
    if not order_ids:
        return hits
    cursor = database["entries"].find(
        {**_entries_of(order_ids, above=above), "text": {"$regex": BEYOND_ASCII}},
        {"order_id": 1, "seq": 1, "text": 1},
        batch_size=TEXTS_IN_A_BATCH,
        max_time_ms=SEARCH_LIMIT_MS,
    )
    async for entry in cursor:
        order_id = entry["order_id"]
        if words := missing[order_id]:
            text = fold(entry["text"])
            missing[order_id] = frozenset(word for word in words if word not in text)
            if missing[order_id] != words:
                hits[order_id] = max(entry["seq"], hits.get(order_id, 0))
    return hits


async def _snippets(
    database: Database, caller: Caller, keywords: Keywords, hits: dict[OrderId, int]
) -> dict[OrderId, Snippet]:
    """The hits as they are shown. Others have their turn between the texts."""
    if not hits:
        return {}
    places = [{"order_id": order_id, "seq": seq} for order_id, seq in hits.items()]
    fields = {"order_id": 1, "seq": 1, "author": 1, "text": 1}
    shown: dict[OrderId, Snippet] = {}
    for entry in await database["entries"].find({"$or": places}, fields, max_time_ms=SEARCH_LIMIT_MS).to_list():
        parts = snippet(entry["text"] or "", keywords.words)
        if parts:
            mine = entry["author"]["person"] == caller.person
            author = views.author_view(entry["author"])
            shown[entry["order_id"]] = Snippet(seq=entry["seq"], author=author, mine=mine, parts=parts)
        await asyncio.sleep(0)
    return shown


def _entries_of(order_ids: Sequence[OrderId], *, above: int) -> Document:
    entries: Document = {"order_id": {"$in": list(order_ids)}}
    return {**entries, "seq": {"$gt": above}} if above > 0 else entries
