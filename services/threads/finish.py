"""What follows from a committed entry, in this order: project, move its author's mark, answer who waits, publish, remove `unfinished`.

Everything here can be done again, by whoever finds the entry unfinished: a repeated command, the sweeper, another worker.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from services.threads import announcements
from services.threads.access import Parties
from services.threads.announcements import Announcements, MailContext
from services.threads.entries import Log
from services.threads.marks import Marks, Step
from services.threads.orders import Orders
from services.threads.people import People
from services.threads.projection import Projection
from services.threads.recipients import Watcher
from services.threads.thread import Entry
from shared.events import MarkMoved
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing

log = structlog.get_logger(__name__)

PUBLISH_ONCE_DEADLINE_S: Final = 5.0

Answer = Callable[[Sequence[Entry]], None]


class Finisher:
    def __init__(
        self,
        *,
        entries: Log,
        projection: Projection,
        marks: Marks,
        orders: Orders,
        people: People,
        announcements: Announcements,
        publisher: GroupPublisher,
    ) -> None:
        self._log, self._projection, self._marks = entries, projection, marks
        self._orders, self._people = orders, people
        self._announcements, self._publisher = announcements, publisher

    async def finish(
        self,
        entries: Sequence[Entry],
        parties: Mapping[str, Parties],
        *,
        answer: Answer,
        watchers: Sequence[Watcher] | None = None,
    ) -> int:
        """`watchers` are those of all these threads, where they are known. Finishes the entries (each thread's in the order of `seq`); says how many are finished.

        One whose events were not all confirmed in one attempt stays unfinished, for the sweeper; so does one that meets a defect, and
        it takes no other along: it is committed, and the operators are told how old the oldest of them is.
        """
        if not entries:
            return 0
        ordered = sorted(entries, key=lambda entry: (entry.order_id, entry.seq))

        async def project() -> list[tuple[Entry, MarkMoved]]:
            moved, _ = await asyncio.gather(self._move_marks(ordered, parties), self._projection.write_entries(ordered))
            answer(ordered)
            told = await self._marks.moved([step for _, step in moved])
            return [(entry, mark) for (entry, _), mark in zip(moved, told, strict=True)]

        # Whom to mail is looked up while the projection is written: what only reads costs no time of its own.
        marks, context = await asyncio.gather(project(), self._mail_context(ordered, parties, watchers))
        outgoing = self._outgoing(ordered, parties, context)
        for entry, mark in marks:
            of_entry = next((messages for each, messages in outgoing if each is entry), None)
            if of_entry is not None:
                of_entry += announcements.of_mark(entry.id, mark, now=entry.committed_at, traceparent=entry.traceparent)
        confirmed = await self._publish([message for _, messages in outgoing for message in messages])
        finished = [
            entry for entry, messages in outgoing if all(message.message_id in confirmed for message in messages)
        ]
        await self._log.mark_finished(finished)
        return len(finished)

    async def _move_marks(self, entries: Sequence[Entry], parties: Mapping[str, Parties]) -> list[tuple[Entry, Step]]:
        """Moves the authors' marks to what they had seen; the entries that moved one."""
        steps = {
            Step(
                parties[each.order_id], each.author.person, each.author.side, each.seen.seq, each.seen.stamp, True
            ): each
            for each in entries
            if each.seen is not None and each.order_id in parties
        }
        return [(steps[step], step) for step in await self._marks.advance(list(steps))]

    def _outgoing(
        self, entries: Sequence[Entry], parties: Mapping[str, Parties], context: MailContext
    ) -> list[tuple[Entry, list[Outgoing]]]:
        """What is published about each entry; one that meets a defect is left out."""
        outgoing = []
        for entry in entries:
            try:
                outgoing.append((entry, self._announcements.of_entry(entry, parties[entry.order_id], context)))
            except Exception:
                log.exception("entry_not_announced", entry_id=entry.id)
        return outgoing

    async def _mail_context(
        self, entries: Sequence[Entry], parties: Mapping[str, Parties], watchers: Sequence[Watcher] | None
    ) -> MailContext:
        order_ids = sorted({entry.order_id for entry in entries} & set(parties))
        orders = await self._orders.for_mail([parties[order_id] for order_id in order_ids])
        if watchers is None:
            watchers = await self._people.watchers(order_ids)
        scopes = {
            scope
            for entry in entries
            if entry.order_id in orders
            for each in self._announcements.addressees(entry, orders[entry.order_id], watchers)
            for scope in self._announcements.scopes_of(each, entry.order_id)
        }
        return MailContext(orders, watchers, await self._people.choices(scopes))

    async def _publish(self, messages: Sequence[Outgoing]) -> set[str]:
        """One attempt; the ids of the messages that RabbitMQ confirmed."""
        try:
            confirmed = await self._publisher.publish_group(messages, deadline_s=PUBLISH_ONCE_DEADLINE_S)
        except NotPublished as error:
            log.warning("events_not_published", count=len(messages), reason=str(error))
            return set()
        missing = confirmed.count(False)
        if missing:
            log.warning("events_not_confirmed", count=missing)
        return {message.message_id for message, ok in zip(messages, confirmed, strict=True) if ok}
