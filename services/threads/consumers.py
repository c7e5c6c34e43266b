"""Takes commands off their queue, gathers them into groups, and settles each group at once."""

import asyncio
import contextlib
import math
import time
import traceback
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import aiormq.abc
import structlog
from aio_pika.abc import AbstractIncomingMessage

from services.threads.beside import Beside, Effect
from services.threads.commit import Committer, Group
from services.threads.in_hand import InHand
from services.threads.metrics import Metrics
from services.threads.subscription import Delivery, Subscription
from services.threads.work import QUEUE, Work, take
from shared.connections import EndOfConnection, ended, keep_connected, opened_channel
from shared.delivery import dead_letter
from shared.errors import CannotProcess
from shared.losses import end, in_background, loss_is_an_error
from shared.mongo import is_away
from shared.publishing import Publisher

log = structlog.get_logger(__name__)

# One that is finished, one that is written, one that gathers; and as many as are in one are applied beside.
GROUPS_PREFETCHED: Final = 4
HOLD_PAUSE_S: Final = 0.2
# Looking again is cheap, and whoever comes back should not find that nobody looks.
HOLD_PAUSE_MAX_S: Final = 1.0
DEFECT_PAUSE_S: Final = 1.0
# Into so many parts a group is divided to find the command that a defect is about; they are committed side by side.
PARTS: Final = 4


class CommandConsumer:
    """While one group is committed the next gathers, so an idle system waits for nothing and a busy one commits many together.

    While one group is finished (projected, announced, acknowledged) the next is written; never more than these two are in hand, and
    groups are finished in the order in which they were written. Commands that make no entry leave their group when its entries are finished: they
    are applied beside, in turn between persons, so that no group waits for them.

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
        self._finishing: asyncio.Task[None] | None = None
        self._in_hand: list[InHand] = []
        self._beside = Beside(
            committer=committer, park=self._park, survived=self._survived, metrics=metrics, most=group_max
        )
        self._raising = asyncio.Lock()
        metrics.oldest_command.set_function(self.oldest_age_s)

    def oldest_age_s(self) -> float:
        """How long ago the oldest command in hand was accepted; 0 where there is none. The queue is in order: what waits is younger.

        What is applied in steps has nothing to wait for once it is begun.
        """
        accepted = [work.command.time for group in self._in_hand for work in group.works] + self._beside.waiting_since()
        return (datetime.now(UTC) - min(accepted)).total_seconds() if accepted else 0.0

    def start(self) -> None:
        self._connection = in_background(
            keep_connected(self._url, "threads commands", self._serve), name="commands: connection"
        )
        self._work = in_background(self._settle_until_stopped(), name="commands: commit")

    async def stop(self, *, within_s: float) -> None:
        """Takes nothing more, finishes what is in hand within the time, and leaves the rest to the next worker."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                if self._subscription is not None:
                    await self._subscription.pause()
                self._arrived.set()
                if self._work is not None:
                    await asyncio.wait([self._work], timeout=within_s)
                await self._beside.drain()
        await self._beside.close()
        await end(*(task for task in (self._work, self._finishing, self._connection) if task is not None))

    @property
    def is_consuming(self) -> bool:
        """Whether RabbitMQ delivers to us and what it delivers is settled."""
        is_fed = self._subscription is not None and self._subscription.is_consuming
        return is_fed and all(task is not None and not task.done() for task in (self._connection, self._work))

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        channel = await opened_channel(connection, publisher_confirms=False)
        self._subscription = Subscription(channel, QUEUE.name, deliver=self._arrive)
        await self._subscription.consume(prefetch=1)
        return await ended(connection, channel)

    def _arrive(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def _settle_until_stopped(self) -> None:
        """Where a defect ends the settling, it begins anew, on a new channel: on the old one nobody would settle what it had taken."""
        while True:
            try:
                with loss_is_an_error():
                    return await self._settle_groups()
            except Exception:
                log.exception("settling_begins_anew", queue=QUEUE.name)
            if self._subscription is not None:
                await self._subscription.close()
            await asyncio.sleep(DEFECT_PAUSE_S)

    async def _settle_groups(self) -> None:
        while True:
            await self._arrived.wait()
            group = self._gathered()
            if not self._waiting:
                self._arrived.clear()
            if group:
                await self._settle_group(InHand(group))
            if self._stopping and not self._waiting:
                return await self._finished()

    def _gathered(self) -> list[Delivery]:
        """The next group; deliveries of a channel that is gone come again and are left out."""
        group: list[Delivery] = []
        while self._waiting and len(group) < self._group_max:
            delivery = self._waiting.popleft()
            if delivery.subscription.is_open:
                group.append(delivery)
        return group

    async def _settle_group(self, group: InHand) -> None:
        """Returns when the group is written; it is finished behind the one before it."""
        self._in_hand.append(group)
        is_written, written = False, None
        try:
            with loss_is_an_error():
                if any(delivery.is_suspect for delivery in group.deliveries) and group.subscription.prefetch > 1:
                    await self._finished()
                    await self._settle_suspects_alone(group)
                else:
                    written = await self._write(group)
                    await self._finished()
                    is_written = True
        except Exception:
            await self._give_back(group)
        finally:
            if not is_written:
                self._in_hand.remove(group)
        if is_written:
            self._finishing = asyncio.create_task(self._finish(group, written), name="commands: finish")

    async def _finished(self) -> None:
        """Returns when the group before is finished; its own troubles are its own affair."""
        if self._finishing is not None:
            await asyncio.wait([self._finishing])

    async def _settle_suspects_alone(self, group: InHand) -> None:
        """Nothing new is taken, nothing is applied beside, and everything else in hand is settled first; then each suspect by itself."""
        subscription = group.subscription
        async with self._beside.alone():
            await subscription.pause()
            if not subscription.is_open:
                return
            in_hand = [*group.deliveries, *self._waiting_of(subscription)]
            innocent = [delivery for delivery in in_hand if not delivery.is_suspect]
            for deliveries in [innocent, *([each] for each in in_hand if each.is_suspect)]:
                if deliveries:
                    await self._settle_alone(InHand(deliveries, is_alone=True))
            if not self._stopping:
                await subscription.consume(prefetch=subscription.prefetch)

    def _waiting_of(self, subscription: Subscription) -> list[Delivery]:
        """Takes what this subscription has delivered meanwhile; what a newer one has delivered goes on waiting."""
        waiting = list(self._waiting)
        self._waiting = deque(delivery for delivery in waiting if delivery.subscription is not subscription)
        return [delivery for delivery in waiting if delivery.subscription is subscription]

    async def _settle_alone(self, group: InHand) -> None:
        self._in_hand.append(group)
        try:
            await self._acknowledge(group, await self._write(group))
        finally:
            self._in_hand.remove(group)

    async def _write(self, group: InHand) -> Group | None:
        """The first half of the commit; None where there was trouble and all of it is done. A copy of what is in hand waits for that."""
        self._metrics.group_size.observe(len(group.deliveries))
        group.works = [work for each in group.deliveries if (work := await self._taken(each.message)) is not None]
        if any(not group.ids.isdisjoint(other.ids) for other in self._in_hand if other is not group):
            await self._finished()
        try:
            return await self._committer.write(group.works)
        except Exception as error:
            log.warning("group_written_anew", queue=QUEUE.name, error=type(error).__name__, count=len(group.works))
            await self._finished()
            await self._commit_held(group, group.works)
            return None

    async def _finish(self, group: InHand, written: Group | None) -> None:
        try:
            with loss_is_an_error():
                await self._acknowledge(group, written)
                await self._survived(group)
        except Exception:
            await self._give_back(group)
        finally:
            self._in_hand.remove(group)

    async def _acknowledge(self, group: InHand, written: Group | None) -> None:
        """The second half of the commit, and the acknowledgement."""
        try:
            if written is not None:
                await self._committer.finish(written)
                await self._park(written.defects)
                await self._hand_over(written.effects, group)
        except Exception as error:
            log.warning("group_finished_anew", queue=QUEUE.name, error=type(error).__name__, count=len(group.works))
            await self._commit_held(group, group.works)
        await group.acknowledge()
        self._metrics.group_seconds.observe(time.perf_counter() - group.began)

    async def _hand_over(self, effects: Sequence[Effect], group: InHand) -> None:
        if group.is_alone:
            await self._beside.apply_at_once(effects, group)
        else:
            await self._beside.take(effects, group)

    async def _give_back(self, group: InHand) -> None:
        """Whatever is not acknowledged comes again, on the next channel."""
        log.exception("group_given_back", queue=QUEUE.name, count=len(group.deliveries))
        for subscription in group.subscriptions:
            await subscription.close()

    async def _survived(self, group: InHand) -> None:
        """What was in hand did not kill the process. A message that was delivered before shows that only while it is still at work."""
        wanted = GROUPS_PREFETCHED * self._group_max
        async with self._raising:
            for subscription in group.subscriptions:
                is_low = subscription.is_consuming and subscription.prefetch < wanted
                if is_low and not self._stopping and group.shows_life:
                    await subscription.consume(prefetch=wanted)

    async def _taken(self, message: AbstractIncomingMessage) -> Work | None:
        try:
            return take(message, now=datetime.now(UTC))
        except CannotProcess as error:
            await self._bury(message, error.reason, error.detail)
            return None

    async def _commit_held(self, group: InHand, works: Sequence[Work]) -> None:
        """Commits; holds the group while MongoDB is away, which costs no attempts; finds the one that a defect is about."""
        pause_s = HOLD_PAUSE_S
        while works:
            try:
                committed = await self._committer.commit(works)
                await self._park(committed.defects)
                return await self._hand_over(committed.effects, group)
            except Exception as error:
                if not is_away(error):
                    return await self._commit_parts(group, works)
                log.warning("held_while_away", queue=QUEUE.name, error=type(error).__name__, count=len(works))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, HOLD_PAUSE_MAX_S)
        return None

    async def _commit_parts(self, group: InHand, works: Sequence[Work]) -> None:
        """After a defect: it takes nobody along but the command that it is about, which is found by dividing, and parked."""
        if len(works) > 1:
            log.warning("group_divided", queue=QUEUE.name, count=len(works))
            size = math.ceil(len(works) / PARTS)
            parts = [works[start : start + size] for start in range(0, len(works), size)]
            await asyncio.gather(*(self._commit_held(group, part) for part in parts))
            return
        await self._park([(works[0], traceback.format_exc())])

    async def _park(self, defects: Sequence[tuple[Work, str]]) -> None:
        """Each goes to the dead letters with its traceback, and whoever waits or asks is told so."""
        for work, detail in defects:
            try:
                await self._committer.park(work)
            except Exception:
                log.exception("park_failed", command_id=work.command.id)
            await self._bury(work.message, "defect", detail)

    async def _bury(self, message: AbstractIncomingMessage, reason: str, detail: str) -> None:
        log.error("dead_lettered", queue=QUEUE.name, message_id=message.message_id, reason=reason)
        self._metrics.dead_letters.labels(QUEUE.name).inc()
        await self._publisher.publish_until_confirmed(dead_letter(message, QUEUE, reason, detail))
