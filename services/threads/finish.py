"""What follows from a committed entry, in this order: project, answer who waits, publish, remove `unfinished`.

Everything here can be done again, by whoever finds the entry unfinished: a repeated command, the sweeper, another worker.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from services.threads.access import Parties
from services.threads.announcements import Announcements, MailContext
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.people import People
from services.threads.projection import Projection
from services.threads.thread import Entry
from shared.delivery import NotPublished, Outgoing, Publisher, PublishUnknown

log = structlog.get_logger(__name__)

PUBLISH_ONCE_DEADLINE_S: Final = 5.0

Answer = Callable[[Sequence[Entry]], None]


class Finisher:
    def __init__(
        self,
        *,
        entries: Log,
        projection: Projection,
        orders: Orders,
        people: People,
        announcements: Announcements,
        publisher: Publisher,
    ) -> None:
        self._log, self._projection, self._orders, self._people = entries, projection, orders, people
        self._announcements, self._publisher = announcements, publisher

    async def finish(self, entries: Sequence[Entry], parties: Mapping[str, Parties], *, answer: Answer) -> int:
        """Finishes the entries (each thread's in the order of `seq`); says how many are finished.

        One whose events were not all confirmed in one attempt stays unfinished, for the sweeper.
        """
        if not entries:
            return 0
        ordered = sorted(entries, key=lambda entry: (entry.order_id, entry.seq))
        # Whom to mail is looked up while the projection is written: what only reads costs no time of its own.
        _, context = await asyncio.gather(self._projection.write_entries(ordered), self._mail_context(ordered))
        answer(ordered)
        outgoing = [self._announcements.of_entry(entry, parties[entry.order_id], context) for entry in ordered]
        confirmed = await asyncio.gather(*(self._publish_all(messages) for messages in outgoing))
        finished = [entry for entry, ok in zip(ordered, confirmed, strict=True) if ok]
        await self._log.mark_finished(finished)
        return len(finished)

    async def _mail_context(self, entries: Sequence[Entry]) -> MailContext:
        order_ids = sorted({entry.order_id for entry in entries})
        orders, watchers = await asyncio.gather(self._orders.for_mail(order_ids), self._people.watchers(order_ids))
        persons = {
            each.person
            for entry in entries
            if entry.order_id in orders
            for each in self._announcements.addressees(entry, orders[entry.order_id], watchers)
        }
        return MailContext(orders, watchers, await self._people.choices(persons))

    async def _publish_all(self, messages: Sequence[Outgoing]) -> bool:
        """One attempt; whether RabbitMQ confirmed every one of them."""
        results = await asyncio.gather(*(self._publish(message) for message in messages))
        return all(results)

    async def _publish(self, message: Outgoing) -> bool:
        try:
            await self._publisher.publish(message, deadline_s=PUBLISH_ONCE_DEADLINE_S)
        except (NotPublished, PublishUnknown) as error:
            log.warning("event_not_confirmed", message_id=message.message_id, reason=str(error))
            return False
        return True
