"""How many mails one person gets: at most so many in a window. What is over waits, and what is said meanwhile gathers in it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

import structlog
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from services.notifier.contents import is_urgent
from shared.mongo import Document

log = structlog.get_logger(__name__)

# A mail that tells of a dispute step goes although the limit is reached, up to this many times the limit.
URGENT_TIMES: Final = 2


class Pace:
    """Counts what was leased for each person (`counted_at`) and postpones what is over, in its order. Nothing is dropped.

    The count is the database's, so it holds for all notifiers together; two that lease at the same moment may overshoot by a few.
    """

    def __init__(self, mails: AsyncCollection[Document], *, limit: int, window_s: float) -> None:
        """`mails` is the collection. A limit of 0 is none."""
        self._mails, self._limit, self._window = mails, limit, timedelta(seconds=window_s)
        self.needs = {"state": 1, "wake_at": 1, "person": 1, "entries.kind": 1} if limit else {"_id": 1}

    async def may_go(self, due: Sequence[Document]) -> list[str]:
        """The ids of the due mails that may go now; the others are postponed. Each holds what `needs` names."""
        if not self._limit or not due:
            return [document["_id"] for document in due]
        busy = {
            found["_id"]: found
            async for found in await self._mails.aggregate(counted({each["person"] for each in due}, self._window))
        }
        going: list[str] = []
        postponed: list[Document] = []
        counts = Counter({person: found["count"] for person, found in busy.items()})
        for document in due:
            if counts[document["person"]] < self._allowed(document):
                counts[document["person"]] += 1
                going.append(document["_id"])
            else:
                postponed.append(document)
        if postponed:
            log.info("mails_postponed", mails=len(postponed), persons=len(busy))
            await self._postpone(postponed, busy)
        return going

    def _allowed(self, document: Document) -> int:
        urgent = any(is_urgent(entry["kind"]) for entry in document.get("entries", ()))
        return URGENT_TIMES * self._limit if urgent else self._limit

    async def _postpone(self, postponed: Sequence[Document], busy: dict[str, Document]) -> None:
        """Until the first mail of the window leaves it. A millisecond apart, so that they keep their order."""
        writes = []
        for place, document in enumerate(postponed):
            found = busy.get(document["person"])
            frees_at = found["first"] + self._window if found else {"$add": ["$$NOW", _ms(self._window)]}
            wake_at = {"$add": [frees_at, place + 1]}
            writes.append(
                UpdateOne(
                    {"_id": document["_id"], "state": document["state"], "wake_at": document["wake_at"]},
                    [{"$set": {"wake_at": wake_at}}],
                )
            )
        await self._mails.bulk_write(writes, ordered=False)


def counted(persons: Iterable[str], window: timedelta) -> list[Document]:
    """The question: how many mails was each of these persons sent within the window, and when the first of them."""
    is_within = {"$gt": ["$counted_at", {"$subtract": ["$$NOW", _ms(window)]}]}
    return [
        {"$match": {"person": {"$in": list(persons)}, "counted_at": {"$exists": True}, "$expr": is_within}},
        {"$group": {"_id": "$person", "count": {"$sum": 1}, "first": {"$min": "$counted_at"}}},
    ]


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
