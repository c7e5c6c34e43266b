"""Taking entries for people, each once for ever: into the mail that is open for them, or as the first of a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError
from uuid6 import uuid7

from services.notifier import steps
from services.notifier.clock import Clock
from services.notifier.contents import Gathered, OrderShown
from shared.errors import RetryLater
from shared.events import Recipient
from shared.mongo import Document

MAX_RACES: Final = 20
OPEN_MAILS: Final = "one_open"


@dataclass(frozen=True, slots=True)
class Taking:
    """An entry to be taken for one person. `source` is the other party, of whose mails the person gets only a share."""

    entry: Gathered
    recipient: Recipient
    order: OrderShown
    source: str | None = None

    @property
    def key(self) -> str:
        return f"{self.entry.event_id}|{self.recipient.person}"

    @property
    def open_mail(self) -> Document:
        return {"order_id": self.order.order_id, "person": self.recipient.person, "state": "open"}


Answer = bool | Exception


class Takings:
    """Three tries, each for what the one before it was refused by the unique indexes; these alone say what was taken already.

    A mail of its own, in one insert for all: the usual case, at a fifth of an update's price. Then into the mail that is open, in one
    message for all. Then alone, so that its trouble is nobody else's.
    """

    def __init__(self, mails: AsyncCollection[Document], clock: Clock, *, delay_s: float, max_weight: int) -> None:
        self._mails, self._clock, self._delay_s, self._max_weight = mails, clock, delay_s, max_weight

    async def take(self, takings: Sequence[Taking]) -> list[Answer]:
        """Whether each was new, or what it failed with. Raises PyMongoError where nothing is known of any of them."""
        answers: dict[int, Answer] = dict.fromkeys(range(len(takings)), True)
        refused = await self._begin_mails(takings)
        refused = await self._put_into_open_mails(takings, refused)
        for at in refused:
            answers[at] = await self._take_again(takings[at])
        return list(answers.values())

    async def _begin_mails(self, takings: Sequence[Taking]) -> list[int]:
        """The places of those that begin no mail: one is open, or it was taken before, or another here begins the same one."""
        if not takings:
            return []
        first = {(taking.order.order_id, taking.recipient.person): at for at, taking in reversed([*enumerate(takings)])}
        places = sorted(first.values())
        now = await self._clock.now()
        made = [self._new_mail(takings[at], now) for at in places]
        try:
            await self._mails.insert_many(made, ordered=False)
            begun = set(places)
        except BulkWriteError as error:
            begun = set(places) - {places[failed] for failed in _refused(error)}
        return [at for at in range(len(takings)) if at not in begun]

    def _new_mail(self, taking: Taking, now: datetime) -> Document:
        return {
            **taking.open_mail,
            **steps.begun(
                mail_id=uuid7().hex,
                key=taking.key,
                entry=taking.entry,
                recipient=taking.recipient,
                order=taking.order,
                source=taking.source,
                now=now,
                delay_s=self._delay_s,
            ),
        }

    async def _put_into_open_mails(self, takings: Sequence[Taking], places: Sequence[int]) -> list[int]:
        """The places of those that an index refused."""
        if not places:
            return []
        writes = [UpdateOne(*self._taking(takings[at]), upsert=True, hint=OPEN_MAILS) for at in places]
        try:
            await self._mails.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            return [places[failed] for failed in sorted(_refused(error))]
        return []

    def _taking(self, taking: Taking) -> tuple[Document, list[steps.Stage]]:
        """One update does it all: the guard (`$ne`) in its filter, the entry, and the promise (`taken`).

        Where it finds no mail to put the entry into it inserts one, and a unique index refuses that if the entry is taken already, or
        the open mail is another.
        """
        update = steps.take(
            mail_id=uuid7().hex,
            key=taking.key,
            entry=taking.entry,
            recipient=taking.recipient,
            order=taking.order,
            source=taking.source,
            delay_s=self._delay_s,
        )
        guards = {"taken": {"$ne": taking.key}, "weight": {"$lt": self._max_weight}}
        return {**taking.open_mail, **guards}, update

    async def _take_again(self, taking: Taking) -> Answer:
        try:
            return await self._take_alone(taking)
        except Exception as error:
            return error

    async def _take_alone(self, taking: Taking) -> bool:
        """Finds out why an index refused it: taken before, or the open mail is full, or somebody else was making it just now."""
        is_full = {**taking.open_mail, "weight": {"$gte": self._max_weight}}
        for _ in range(MAX_RACES):
            if await self._mails.find_one({"taken": taking.key}, {"_id": 1}):
                return False
            await self._mails.update_one(is_full, steps.close_full())
            try:
                await self._mails.update_one(*self._taking(taking), upsert=True)
                return True
            except DuplicateKeyError:
                continue
        raise RetryLater("many writers are at this person's open mail")


def _refused(error: BulkWriteError) -> set[int]:
    """The places of the writes that failed. Raises AutoReconnect where no majority has confirmed the others."""
    if error.details.get("writeConcernErrors"):
        raise AutoReconnect("no majority has confirmed the write") from error
    return {failed["index"] for failed in error.details.get("writeErrors", [])}
