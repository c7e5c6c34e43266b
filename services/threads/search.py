"""Searching a list by keyword: it walks the caller's own list, a bounded stretch a request, and says how far it came.

There is no text index: it would have to be searched for everybody and then filtered, and finds words, not parts of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.threads import lists, views
from services.threads.cursors import Cursors
from services.threads.lists import Listing
from shared.callers import Caller
from shared.mongo import Database, Document
from shared.queries import ThreadPage, ThreadSort

MAX_THREADS: Final = 500
MAX_ENTRIES: Final = 20_000
CHUNK_THREADS: Final = 100
SEARCH_LIMIT_MS: Final = 2_000

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
class Keyword:
    """What is looked for, taken literally and whatever its case: the beginning of an order number, or a part of all else.

    `shop` is what the shop is called: it stands where a seller would.
    """

    text: str
    shop: str

    @property
    def pattern(self) -> str:
        return re.escape(self.text)

    def is_on_the_face_of(self, thread: Document) -> bool:
        """Whether the order's number, people or first item show it."""
        order = thread["order"]
        seller = views.seller_view(order["seller"], self.shop).name
        texts = (order["customer"]["name"], seller, order["first_item"] or "")
        begins = str(thread["_id"]).lower().startswith(self.text.lower())
        return begins or any(re.search(self.pattern, text, re.IGNORECASE) for text in texts)


@dataclass(slots=True)
class Walk:
    """How far a search has come: what it found, behind which position it goes on, and whether the list has ended."""

    position: str
    wanted: int
    found: list[str]
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
    keyword = Keyword(listing.q or "", shop)
    exact = await _exactly(database, listing, keyword) if cursor is None else []
    start = cursors.read(cursor, listing.identity) if cursor is not None else ""
    walk = Walk(position=start, wanted=limit - len(exact), found=[])
    while walk.goes_on:
        await _walk_on(database, listing, keyword, walk)
    threads = exact + await _load(database, listing, walk.found)
    items = await lists.rows(database, caller, listing.side, threads, shop=shop)
    if walk.ended:
        return ThreadPage(items=items, next=None, searched=walk.searched)
    following, behind = listing.following(cursors, after=walk.position, limit=limit, sort=sort)
    return ThreadPage(items=items, next=following, cursor=behind, searched=walk.searched)


async def _exactly(database: Database, listing: Listing, keyword: Keyword) -> list[Document]:
    """The order with that number, if it stands in the list, however far back."""
    if listing.only not in (None, keyword.text):
        return []
    in_list = {**listing.member, "_id": keyword.text, listing.position: {"$exists": True}}
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


async def _walk_on(database: Database, listing: Listing, keyword: Keyword, walk: Walk) -> None:
    """Looks through the next chunk, as far as the bounds allow, and stops where enough is found."""
    room = min(CHUNK_THREADS, MAX_THREADS - walk.searched)
    chunk = await listing.find(database, after=walk.position, limit=room, projection=SEARCHED)
    within = _within_bounds(chunk, MAX_ENTRIES - walk.entries)
    faces = {thread["_id"] for thread in within if keyword.is_on_the_face_of(thread)}
    matching = faces | await _in_texts(database, keyword, [each for each in within if each["_id"] not in faces])
    for thread in within:
        walk.searched += 1
        walk.entries += thread.get("seq", 0)
        walk.position = thread[listing.position]
        # The exact number was answered on the first page, wherever it stands.
        if thread["_id"] in matching and thread["_id"] != keyword.text:
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


async def _in_texts(database: Database, keyword: Keyword, threads: Sequence[Document]) -> set[str]:
    """Which of these threads have it in a text; of one longer than the bound, the newest texts are looked at."""
    talked = [thread for thread in threads if thread.get("seq", 0) > 0]
    if not talked:
        return set()
    where: Document = {"order_id": {"$in": [thread["_id"] for thread in talked]}}
    if len(talked) == 1:
        where["seq"] = {"$gt": talked[0]["seq"] - MAX_ENTRIES}
    stages: list[Document] = [
        {"$match": {**where, "text": {"$regex": keyword.pattern, "$options": "i"}}},
        {"$group": {"_id": "$order_id"}},
    ]
    cursor = await database["entries"].aggregate(stages, maxTimeMS=SEARCH_LIMIT_MS)
    return {found["_id"] async for found in cursor}
