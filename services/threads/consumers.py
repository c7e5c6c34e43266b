"""Takes commands and order events off their queues.

Commands come by a bare aio-pika consumer that settles whole groups; order events by FastStream, one at a time.
"""

import asyncio
import contextlib
import traceback
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue, AbstractRobustChannel, AbstractRobustConnection

from services.threads.acknowledge import Outstanding
from services.threads.commit import Committer
from services.threads.metrics import Metrics
from services.threads.work import QUEUE, Work, take
from shared.delivery import BROKER_AWAY, Publisher, dead_letter, redeliveries, with_options
from shared.errors import CannotProcess
from shared.mongo import is_away

log = structlog.get_logger(__name__)

# A message that was delivered more than twice may be one that kills the process.
SUSPECT_REDELIVERIES: Final = 2
HOLD_PAUSE_S: Final = 0.2
HOLD_PAUSE_MAX_S: Final = 5.0


class CommandConsumer:
    """Gathers deliveries of `threads.commands` into groups and settles each group at once.

    While one group is committed the next gathers, so an idle system waits for nothing and a busy one commits many together. It
    starts with a prefetch of 1 and raises it once a never-redelivered message is settled: after a crash, the message that caused it
    comes back alone. A suspect is handled when nothing else is in hand.
    """

    def __init__(
        self, amqp_url: str, *, committer: Committer, publisher: Publisher, metrics: Metrics, group_max: int
    ) -> None:
        self._url, self._committer, self._publisher, self._metrics = amqp_url, committer, publisher, metrics
        self._group_max = group_max
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._queue: AbstractQueue | None = None
        self._tag: str | None = None
        self._prefetch = 1
        self._waiting: deque[AbstractIncomingMessage] = deque()
        self._arrived = asyncio.Event()
        self._outstanding: dict[int, tuple[aiormq.abc.AbstractChannel, Outstanding]] = {}
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._consume(), name="commands: consume"),
            asyncio.create_task(self._work(), name="commands: commit"),
        ]

    async def stop(self, *, within_s: float) -> None:
        """Takes nothing more, finishes what is in hand within the time, and leaves the rest to the next worker."""
        self._stopping = True
        with contextlib.suppress(*BROKER_AWAY):
            await self._pause()
        self._arrived.set()
        if self._tasks:
            await asyncio.wait(self._tasks[1:], timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    @property
    def is_consuming(self) -> bool:
        return (
            self._tag is not None
            and self._connection is not None
            and self._connection.connected.is_set()
            and not any(task.done() for task in self._tasks[1:])
        )

    async def _consume(self) -> None:
        self._connection = await aio_pika.connect_robust(with_options(self._url, "threads-commands"))
        self._channel = await self._connection.channel(publisher_confirms=False)
        await self._channel.set_qos(prefetch_count=self._prefetch)
        self._queue = await self._channel.get_queue(QUEUE.name, ensure=False)
        await self._resume()
        log.info("consuming", queue=QUEUE.name, prefetch=self._prefetch)

    async def _resume(self) -> None:
        if self._queue is not None and self._tag is None and not self._stopping:
            self._tag = await self._queue.consume(self._arrive)

    async def _pause(self) -> None:
        if self._queue is not None and self._tag is not None:
            tag, self._tag = self._tag, None
            await self._queue.cancel(tag)

    async def _arrive(self, message: AbstractIncomingMessage) -> None:
        channel = message.channel
        _, outstanding = self._outstanding.setdefault(id(channel), (channel, Outstanding()))
        outstanding.delivered(_tag(message))
        self._waiting.append(message)
        self._arrived.set()

    async def _work(self) -> None:
        while not (self._stopping and not self._waiting):
            await self._arrived.wait()
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._group_max))]
            if not self._waiting and not self._stopping:
                self._arrived.clear()
            if group:
                await self._take(group)

    async def _take(self, group: list[AbstractIncomingMessage]) -> None:
        suspects = [message for message in group if redeliveries(message) >= SUSPECT_REDELIVERIES]
        if suspects and self._prefetch > 1:
            await self._handle_alone(group, suspects)
        else:
            await self._settle(group)
            await self._raise_prefetch(group)

    async def _handle_alone(
        self, group: list[AbstractIncomingMessage], suspects: list[AbstractIncomingMessage]
    ) -> None:
        """Everything else in hand is settled first and nothing new is taken; then each suspect by itself."""
        await self._pause()
        innocent = [message for message in [*group, *self._waiting] if redeliveries(message) < SUSPECT_REDELIVERIES]
        suspects += [message for message in self._waiting if redeliveries(message) >= SUSPECT_REDELIVERIES]
        self._waiting.clear()
        if innocent:
            await self._settle(innocent)
        for suspect in suspects:
            await self._settle([suspect])
        await self._resume()

    async def _raise_prefetch(self, group: Sequence[AbstractIncomingMessage]) -> None:
        """A prefetch counts for consumers that begin after it was set, so consuming begins anew."""
        wanted = 2 * self._group_max
        if self._prefetch == wanted or self._channel is None or self._stopping:
            return
        if any(not message.redelivered and redeliveries(message) == 0 for message in group):
            with contextlib.suppress(*BROKER_AWAY):
                await self._pause()
                await self._channel.set_qos(prefetch_count=wanted)
                self._prefetch = wanted
            await self._resume()

    async def _settle(self, group: Sequence[AbstractIncomingMessage]) -> None:
        with self._metrics.group_seconds.time():
            self._metrics.group_size.observe(len(group))
            works = [work for message in group if (work := await self._taken(message)) is not None]
            await self._commit_held(works)
            await self._acknowledge(group)

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
                if is_away(error):
                    log.warning("held_while_away", queue=QUEUE.name, error=type(error).__name__, count=len(works))
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, HOLD_PAUSE_MAX_S)
                elif len(works) > 1:
                    log.exception("group_failed", queue=QUEUE.name, count=len(works))
                    for work in works:
                        await self._commit_held([work])
                    return None
                else:
                    await self._committer.park(works[0])
                    return await self._bury(works[0].message, "defect", traceback.format_exc())
        return None

    async def _bury(self, message: AbstractIncomingMessage, reason: str, detail: str) -> None:
        log.error("dead_lettered", queue=QUEUE.name, message_id=message.message_id, reason=reason)
        self._metrics.dead_letters.labels(QUEUE.name).inc()
        await self._publisher.publish_until_confirmed(dead_letter(message, QUEUE, reason, detail))

    async def _acknowledge(self, group: Sequence[AbstractIncomingMessage]) -> None:
        """On the channel that delivered, and on no other: after a reconnect the deliveries come again and are known."""
        tags: dict[int, list[int]] = {}
        for message in group:
            tags.setdefault(id(message.channel), []).append(_tag(message))
        for key, settled in tags.items():
            channel, outstanding = self._outstanding[key]
            up_to, single = outstanding.settle(settled)
            with contextlib.suppress(*BROKER_AWAY):
                if up_to is not None:
                    await channel.basic_ack(up_to, multiple=True)
                for tag in single:
                    await channel.basic_ack(tag)
            if channel.is_closed and not len(outstanding):
                del self._outstanding[key]


def _tag(message: AbstractIncomingMessage) -> int:
    if message.delivery_tag is None:
        raise ValueError("a delivery without a tag")
    return message.delivery_tag
