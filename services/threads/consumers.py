"""Takes commands off their queue, gathers them into groups, and settles each group at once."""

import asyncio
import traceback
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import aiormq.abc
import structlog
from aio_pika.abc import AbstractIncomingMessage

from services.threads.commit import Committer
from services.threads.metrics import Metrics
from services.threads.subscription import Delivery, Subscription
from services.threads.work import QUEUE, Work, take
from shared.connections import EndOfConnection, ended, keep_connected
from shared.delivery import Publisher, dead_letter
from shared.errors import CannotProcess
from shared.logs import logged
from shared.mongo import is_away
from shared.traces import trace_id

log = structlog.get_logger(__name__)

HOLD_PAUSE_S: Final = 0.2
HOLD_PAUSE_MAX_S: Final = 5.0


class CommandConsumer:
    """While one group is committed the next gathers, so an idle system waits for nothing and a busy one commits many together.

    It starts with a prefetch of 1 and raises it once a never-redelivered message is settled: after a crash, the message that
    caused it comes back alone. A suspect is handled when nothing else is in hand.
    """

    def __init__(
        self, amqp_url: str, *, committer: Committer, publisher: Publisher, metrics: Metrics, group_max: int
    ) -> None:
        self._url, self._committer, self._publisher, self._metrics = amqp_url, committer, publisher, metrics
        self._group_max = group_max
        self._subscription: Subscription | None = None
        self._waiting: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False
        self._connection: asyncio.Task[None] | None = None
        self._work: asyncio.Task[None] | None = None
        self._oldest: datetime | None = None
        metrics.oldest_command.set_function(self._oldest_age_s)

    def _oldest_age_s(self) -> float:
        return 0.0 if self._oldest is None else (datetime.now(UTC) - self._oldest).total_seconds()

    def start(self) -> None:
        self._connection = asyncio.create_task(keep_connected(self._url, "threads commands", self._serve))
        self._work = asyncio.create_task(self._settle_groups(), name="commands: commit")

    async def stop(self, *, within_s: float) -> None:
        """Takes nothing more, finishes what is in hand within the time, and leaves the rest to the next worker."""
        self._stopping = True
        if self._subscription is not None:
            await self._subscription.pause()
        self._arrived.set()
        tasks = [task for task in (self._work, self._connection) if task is not None]
        if self._work is not None:
            await asyncio.wait([self._work], timeout=within_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_consuming(self) -> bool:
        return self._subscription is not None and self._subscription.is_consuming

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        channel = await connection.channel(publisher_confirms=False)
        self._subscription = Subscription(channel, QUEUE.name, deliver=self._arrive)
        await self._subscription.consume(prefetch=1)
        return await ended(connection, channel)

    def _arrive(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def _settle_groups(self) -> None:
        while True:
            await self._arrived.wait()
            group = self._gathered()
            if not self._waiting:
                self._arrived.clear()
            if group:
                await self._settle_group(group)
            if self._stopping and not self._waiting:
                return

    def _gathered(self) -> list[Delivery]:
        """The next group; deliveries of a channel that is gone come again and are left out."""
        group: list[Delivery] = []
        while self._waiting and len(group) < self._group_max:
            delivery = self._waiting.popleft()
            if delivery.subscription.is_open:
                group.append(delivery)
        return group

    async def _settle_group(self, group: list[Delivery]) -> None:
        subscription = group[-1].subscription
        try:
            if any(delivery.is_suspect for delivery in group) and subscription.prefetch > 1:
                await self._settle_suspects_alone(group, subscription)
            else:
                await self._settle(group)
                await self._raise_prefetch(group, subscription)
        except Exception:
            log.exception("group_given_back", queue=QUEUE.name, count=len(group))
            await subscription.close()

    async def _settle_suspects_alone(self, group: list[Delivery], subscription: Subscription) -> None:
        """Nothing new is taken and everything else in hand is settled first; then each suspect by itself."""
        await subscription.pause()
        in_hand = [*group, *self._waiting]
        self._waiting.clear()
        innocent = [delivery for delivery in in_hand if not delivery.is_suspect]
        if innocent:
            await self._settle(innocent)
        for suspect in (delivery for delivery in in_hand if delivery.is_suspect):
            await self._settle([suspect])
        if not self._stopping:
            await subscription.consume(prefetch=subscription.prefetch)

    async def _raise_prefetch(self, group: Sequence[Delivery], subscription: Subscription) -> None:
        wanted = 2 * self._group_max
        is_low = subscription.is_consuming and subscription.prefetch < wanted
        if is_low and not self._stopping and any(delivery.is_fresh for delivery in group):
            await subscription.consume(prefetch=wanted)

    async def _settle(self, group: Sequence[Delivery]) -> None:
        with self._metrics.group_seconds.time():
            self._metrics.group_size.observe(len(group))
            works = [work for delivery in group if (work := await self._taken(delivery.message)) is not None]
            self._oldest = min((work.command.time for work in works), default=None)
            try:
                await self._commit_held(works)
            finally:
                self._oldest = None
                for work in works:
                    if work.span is not None:
                        work.span.end()
            for subscription in {delivery.subscription for delivery in group}:
                await subscription.acknowledge(
                    [delivery.tag for delivery in group if delivery.subscription is subscription]
                )
            _log(works)

    async def _taken(self, message: AbstractIncomingMessage) -> Work | None:
        try:
            return take(message, now=datetime.now(UTC))
        except CannotProcess as error:
            await self._bury(message, error.reason, error.detail)
            return None

    async def _commit_held(self, works: Sequence[Work]) -> None:
        """Commits; holds the group while MongoDB is away, which costs no attempts; finds the one that a defect is about."""
        pause_s = HOLD_PAUSE_S
        while works:
            try:
                return await self._committer.commit(works)
            except Exception as error:
                if not is_away(error):
                    return await self._commit_one_by_one(works)
                log.warning("held_while_away", queue=QUEUE.name, error=type(error).__name__, count=len(works))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, HOLD_PAUSE_MAX_S)
        return None

    async def _commit_one_by_one(self, works: Sequence[Work]) -> None:
        """After a defect: it takes nobody along but the command that it is about, which is parked."""
        if len(works) > 1:
            log.exception("group_failed", queue=QUEUE.name, count=len(works))
            for work in works:
                await self._commit_held([work])
            return
        detail = traceback.format_exc()
        try:
            await self._committer.park(works[0])
        except Exception:
            log.exception("park_failed", command_id=works[0].command.id)
        await self._bury(works[0].message, "defect", detail)

    async def _bury(self, message: AbstractIncomingMessage, reason: str, detail: str) -> None:
        log.error("dead_lettered", queue=QUEUE.name, message_id=message.message_id, reason=reason)
        self._metrics.dead_letters.labels(QUEUE.name).inc()
        await self._publisher.publish_until_confirmed(dead_letter(message, QUEUE, reason, detail))


def _log(works: Sequence[Work]) -> None:
    """One line a command; `ms` is since the gateway accepted it."""
    now = datetime.now(UTC)
    for work in works:
        command = work.command
        log.info(
            "command_settled",
            type=command.type,
            command_id=command.id,
            order=logged(work.order_id),
            trace_id=trace_id(command.traceparent),
            ms=round((now - command.time).total_seconds() * 1000, 1),
        )
