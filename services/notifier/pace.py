"""How many mails one person gets: at most so many in a window. What is over waits, and what is said meanwhile gathers in it.

Of these one party (the customer, to all others; the seller, to the customer) has a share, and one order a pace after its first few: who
makes noise waits, and nobody else does.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection

from services.notifier.contents import is_urgent
from shared.mongo import Document

log = structlog.get_logger(__name__)

# A mail that tells of a dispute step goes although the limit is reached, up to this many times the limit.
URGENT_TIMES: Final = 2
# One party gets a quarter of a person's mails.
PARTS: Final = 4
# So many mails about one order go as they come; the next ones are a share's part of the window apart.
FEW: Final = 4


@dataclass(slots=True)
class _Sent:
    """Mails of the window; a moment that is None is now."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def add(self, other: "_Sent") -> None:
        if not self.count:
            self.first, self.last = other.first, other.last
        else:
            self.first = min(self.first, other.first) if self.first and other.first else self.first or other.first
            self.last = max(self.last, other.last) if self.last and other.last else None
        self.count += other.count


@dataclass(slots=True)
class _Counts:
    """What was sent within the window: by person, by person and party, by person and order. `now` is the database's."""

    now: datetime | None = None
    sent: dict[tuple[str, ...], _Sent] = field(default_factory=dict)

    def add(self, mail: Document, sent: _Sent) -> None:
        for key in _keys(mail):
            self.sent.setdefault(key, _Sent()).add(sent)

    def of(self, mail: Document) -> tuple[_Sent, _Sent, _Sent]:
        """The person's, the party's and the order's."""
        person, order, *party = (self.sent.get(key, _Sent()) for key in _keys(mail))
        return person, party[0] if party else _Sent(), order


def _keys(mail: Document) -> list[tuple[str, ...]]:
    """Mails of the release before have no party."""
    person, source = mail["person"], mail.get("source")
    return [(person,), (person, "order", mail["order_id"]), *([(person, "party", source)] if source else [])]


class Pace:
    """Counts what was leased for each person (`counted_at`) and postpones what is over, in its order. Nothing is dropped.

    The count is the database's, so it holds for all notifiers together; two that lease at the same moment may overshoot by a few.
    """

    def __init__(self, mails: AsyncCollection[Document], *, limit: int, window_s: float) -> None:
        """`mails` is the collection. A limit of 0 is none."""
        self._mails, self._limit, self._window = mails, limit, timedelta(seconds=window_s)
        self._share = min(limit, max(FEW, limit // PARTS))
        self._apart = self._window / max(1, self._share)
        wanted = ("state", "wake_at", "person", "order_id", "source", "entries.kind")
        self.needs = dict.fromkeys(wanted, 1) if limit else {"_id": 1}

    async def may_go(self, due: Sequence[Document]) -> list[str]:
        """The ids of the due mails that may go now; the others are postponed. Each holds what `needs` names."""
        if not self._limit or not due:
            return [document["_id"] for document in due]
        counts = await self._counts({each["person"] for each in due})
        going: list[str] = []
        postponed: list[tuple[Document, Document]] = []
        for document in due:
            frees_at = self._frees_at(document, counts)
            if frees_at is None:
                counts.add(document, _Sent(1))
                going.append(document["_id"])
            else:
                postponed.append((document, frees_at))
        if postponed:
            log.info("mails_postponed", mails=len(postponed), persons=len({each["person"] for each, _ in postponed}))
            await self._postpone(postponed)
        return going

    async def _counts(self, persons: Iterable[str]) -> _Counts:
        counts = _Counts()
        async for found in await self._mails.aggregate(counted(persons, self._window)):
            counts.now = found["now"]
            counts.add(found["_id"], _Sent(found["count"], found["first"], found["last"]))
        return counts

    def _frees_at(self, mail: Document, counts: _Counts) -> Document | None:
        """When there is room for the mail, as an expression; None where there is now."""
        person, party, order = counts.of(mail)
        times = URGENT_TIMES if any(is_urgent(entry["kind"]) for entry in mail.get("entries", ())) else 1
        if person.count >= times * self._limit:
            return _after(person.first, self._window)
        if party.count >= times * self._share:
            return _after(party.first, self._window)
        if order.count >= FEW and self._is_within(order.last, counts.now):
            return _after(order.last, self._apart)
        return None

    def _is_within(self, last: datetime | None, now: datetime | None) -> bool:
        return last is None or now is None or now - last < self._apart

    async def _postpone(self, postponed: Sequence[tuple[Document, Document]]) -> None:
        """Until there is room. A millisecond apart, so that they keep their order."""
        writes = [
            UpdateOne(
                {"_id": document["_id"], "state": document["state"], "wake_at": document["wake_at"]},
                [{"$set": {"wake_at": {"$add": [frees_at, place + 1]}}}],
            )
            for place, (document, frees_at) in enumerate(postponed)
        ]
        await self._mails.bulk_write(writes, ordered=False)


def counted(persons: Iterable[str], window: timedelta) -> list[Document]:
    """The question: how many mails was each of these persons sent within the window, by order and party, and when the first and last of them."""
    is_within = {"$gt": ["$counted_at", {"$subtract": ["$$NOW", _ms(window)]}]}
    return [
        {"$match": {"person": {"$in": list(persons)}, "counted_at": {"$exists": True}, "$expr": is_within}},
        {
            "$group": {
                "_id": {"person": "$person", "order_id": "$order_id", "source": "$source"},
                "count": {"$sum": 1},
                "first": {"$min": "$counted_at"},
                "last": {"$max": "$counted_at"},
            }
        },
        {"$set": {"now": "$$NOW"}},
    ]


def _after(moment: datetime | None, time: timedelta) -> Document:
    return {"$add": ["$$NOW" if moment is None else moment, _ms(time)]}


def _ms(time: timedelta) -> int:
    return round(time.total_seconds() * 1000)
