"""My account > Orders, My account > Messages, and the badges: each page is one scan of one index.

A row stands in a list by name (`<inbox>/<filter>`) and position, both kept by the projection; so whose list it is, is part of
the query. A thread that moves to the top while somebody pages is not shown twice; live events tell of it.
"""

import json
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlencode

from services.threads import indexes, views
from services.threads.access import inbox_key
from services.threads.cursors import Cursors
from shared.callers import Caller
from shared.errors import refuse
from shared.fields import OrderId, Side
from shared.mongo import Database, Document
from shared.queries import OpenDisputes, OrderFilter, ThreadFilter, ThreadPage, ThreadRow, ThreadSort, Unread

Position = Literal["placed", "newest", "waiting", "disputed"]
ListPath = Literal["/v1/orders", "/v1/threads"]

BADGE_THREADS: Final = 100
LIST_LIMIT_MS: Final = 5_000

INDEX_OF: Final[dict[Position, indexes.Keys]] = {
    "placed": indexes.LISTS_PLACED,
    "newest": indexes.TALKS_NEWEST,
    "waiting": indexes.TALKS_WAITING,
    "disputed": indexes.TALKS_DISPUTED,
}
POSITION_OF: Final[dict[ThreadSort, Position]] = {
    "newest": "newest",
    "waiting": "waiting",
    "oldest_dispute": "disputed",
}
ROW: Final[dict[str, Any]] = {"lists": 0, "talks": 0}


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of one inbox. A guest's contains their one order (`only`), found by its id and held against the same list."""

    path: ListPath
    names: Literal["lists", "talks"]
    inbox: str
    side: Side
    filter: OrderFilter | ThreadFilter
    position: Position
    only: OrderId | None = None
    q: str | None = None

    @property
    def key(self) -> str:
        return f"{self.inbox}/{self.filter}"

    @property
    def direction(self) -> int:
        """1 where the one that waits longest comes first, -1 where the newest does; the index says which."""
        return INDEX_OF[self.position][1][1]

    @property
    def identity(self) -> str:
        """What a cursor of this list is bound to."""
        return json.dumps([self.path, self.inbox, self.only, self.filter, self.position, self.q])

    @property
    def member(self) -> Document:
        """What a thread in this list looks like; without it, no query of this list reads anything."""
        members: Document = {self.names: self.key}
        if self.only is not None:
            members |= {"_id": self.only, "order.customer.guest": True}
        return members

    def find_arguments(self, *, after: str, limit: int, projection: dict[str, Any]) -> dict[str, Any]:
        """One index scan behind the position `after` ("": from the start)."""
        return {
            "filter": self.member | self._behind(after),
            "projection": projection,
            "sort": [(self.position, self.direction)],
            "limit": limit,
            "hint": [("_id", 1)] if self.only is not None else INDEX_OF[self.position],
            "max_time_ms": LIST_LIMIT_MS,
        }

    def _behind(self, after: str) -> Document:
        """Ascending lists name their position from the start, since their indexes hold only threads that have one."""
        if self.direction == 1:
            return {self.position: {"$gt": after}}
        return {self.position: {"$lt": after}} if after else {}

    async def find(
        self, database: Database, *, after: str, limit: int, projection: dict[str, Any] | None = None
    ) -> list[Document]:
        arguments = self.find_arguments(after=after, limit=limit, projection=projection or ROW)
        return await database["threads"].find(**arguments).to_list()

    def following(self, cursors: Cursors, *, after: str, limit: int, sort: ThreadSort | None) -> tuple[str, str]:
        """The relative URL of the page behind a position, and the cursor in it."""
        asked = {"filter": self.filter, "sort": sort, "q": self.q, "limit": limit}
        cursor = cursors.write(self.identity, after)
        query = urlencode({name: value for name, value in asked.items() if value is not None} | {"cursor": cursor})
        return f"{self.path}?{query}", cursor


def orders_of(caller: Caller, which: OrderFilter, *, q: str | None = None) -> Listing:
    """My account > Orders: every order of the inbox, the newest first."""
    inbox, side = _inbox(caller)
    return Listing("/v1/orders", "lists", inbox, side, which, "placed", _only(caller), q)


def threads_of(caller: Caller, which: ThreadFilter, sort: ThreadSort, *, q: str | None = None) -> Listing:
    """My account > Messages: the orders that somebody has written about.

    Sorted by `waiting` or `oldest_dispute`, it contains those alone in which the customer waits, or a dispute is open.
    """
    inbox, side = _inbox(caller)
    return Listing("/v1/threads", "talks", inbox, side, which, POSITION_OF[sort], _only(caller), q)


def _inbox(caller: Caller) -> tuple[str, Side]:
    inbox, side = inbox_key(caller), caller.side
    if inbox is None or side is None:
        raise refuse("forbidden", "A service has no inbox, and so no lists. Ask with a person's token.")
    return inbox, side


def _only(caller: Caller) -> OrderId | None:
    return caller.order_id if caller.role == "guest" else None


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
    """A page of a list without a search; one row more than shown tells whether another follows."""
    after = cursors.read(cursor, listing.identity) if cursor is not None else ""
    found = await listing.find(database, after=after, limit=limit + 1)
    shown = found[:limit]
    more = len(found) > limit
    items = await rows(database, caller, listing.side, shown, shop=shop)
    if not more:
        return ThreadPage(items=items, next=None)
    following, behind = listing.following(cursors, after=shown[-1][listing.position], limit=limit, sort=sort)
    return ThreadPage(items=items, next=following, cursor=behind)


async def rows(
    database: Database, caller: Caller, side: Side, threads: list[Document], *, shop: str
) -> list[ThreadRow]:
    """The rows of these threads, with what is new for the caller in person: their marks come in one query by id.

    `shop` is what the shop is called.
    """
    ids = [f"{thread['_id']}|{caller.person}" for thread in threads]
    found = await database["reads"].find({"_id": {"$in": ids}}, {"seq": 1, "own": 1}).to_list() if ids else []
    marks = {mark["_id"]: views.Mark.read(mark) for mark in found}
    return [
        views.thread_row(thread, caller, side, marks.get(mark_id, views.Mark()), shop=shop)
        for thread, mark_id in zip(threads, ids, strict=True)
    ]


async def unread_badge(database: Database, caller: Caller) -> Unread:
    """What is new in the inbox: kept numbers of at most 100 threads, however many there are."""
    listing = threads_of(caller, "unread", "newest")
    found = await listing.find(
        database, after="", limit=BADGE_THREADS + 1, projection={"_id": 0, f"unread.{listing.side}": 1}
    )
    counted = found[:BADGE_THREADS]
    messages = sum(thread["unread"][listing.side] for thread in counted)
    return Unread(threads=len(counted), messages=messages, more=len(found) > BADGE_THREADS)


async def disputes_badge(database: Database, caller: Caller) -> OpenDisputes:
    listing = threads_of(caller, "disputed", "oldest_dispute")
    found = await listing.find(database, after="", limit=BADGE_THREADS + 1, projection={"_id": 1})
    return OpenDisputes(threads=min(len(found), BADGE_THREADS), more=len(found) > BADGE_THREADS)
