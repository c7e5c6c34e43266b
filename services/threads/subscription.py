"""One subscription to `threads.commands` on one channel: what it delivered, and how that is acknowledged."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Final

import aiormq.abc
import structlog
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractIncomingMessage

from services.threads.acknowledge import Outstanding
from shared.delivery import redeliveries
from shared.losses import NO_CONNECTION, loss_is_an_error

log = structlog.get_logger(__name__)

# How long RabbitMQ may take for each thing that is asked of it: a silent one would be noticed by the heartbeat only after 33 s.
CALL_LIMIT_S: Final = 10.0
# A message that was delivered more than twice may be one that kills the process.
SUSPECT_REDELIVERIES: Final = 2


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message and the subscription that delivered it: only there may it be acknowledged."""

    message: AbstractIncomingMessage
    subscription: "Subscription"

    @property
    def tag(self) -> int:
        if self.message.delivery_tag is None:
            raise ValueError("a delivery without a tag")
        return self.message.delivery_tag

    @property
    def is_suspect(self) -> bool:
        return redeliveries(self.message) >= SUSPECT_REDELIVERIES

    @property
    def is_fresh(self) -> bool:
        """Never delivered before, to anybody."""
        return not self.message.redelivered and redeliveries(self.message) == 0


class Subscription:
    """Ends with its channel: what it had delivered comes again on the next one, and is known then.

    Network errors and silence are not raised, they end it: the connection's keeper sees the end too, and begins anew.
    """

    def __init__(self, channel: aiormq.abc.AbstractChannel, queue: str, *, deliver: Callable[[Delivery], None]) -> None:
        self._channel, self._queue, self._deliver = channel, queue, deliver
        self._outstanding = Outstanding()
        self._tag: str | None = None
        self._is_given_up = False
        self.prefetch = 0

    @property
    def is_open(self) -> bool:
        return not self._is_given_up and not self._channel.is_closed

    @property
    def is_consuming(self) -> bool:
        return self._tag is not None and self.is_open

    async def consume(self, *, prefetch: int) -> None:
        """Consumes with this prefetch. It counts for consumers that begin after it was set, so consuming begins anew."""
        await self.pause()
        async with self._ending_with_its_channel():
            await self._channel.basic_qos(prefetch_count=prefetch, timeout=CALL_LIMIT_S)
            self.prefetch = prefetch
            started = await self._channel.basic_consume(self._queue, self._arrive, timeout=CALL_LIMIT_S)
            self._tag = started.consumer_tag

    async def pause(self) -> None:
        """Nothing more is delivered; what was is still to be settled, while the subscription is open."""
        if self._tag is not None:
            tag, self._tag = self._tag, None
            async with self._ending_with_its_channel():
                await self._channel.basic_cancel(tag, timeout=CALL_LIMIT_S)

    async def close(self) -> None:
        """Gives back whatever is not acknowledged."""
        self._tag, self._is_given_up = None, True
        # RabbitMQ may leave even this without an answer, and go on sending heartbeats: then only a new connection tells.
        for what in (self._channel, self._channel.connection):
            if not self._channel.is_closed:
                with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
                    async with asyncio.timeout(CALL_LIMIT_S):
                        await what.close(ConnectionAbortedError("the channel was given up"))

    @contextlib.asynccontextmanager
    async def _ending_with_its_channel(self) -> AsyncIterator[None]:
        """A channel on which something failed, or was not answered in time, is of no use any more."""
        try:
            with loss_is_an_error():
                yield
        except NO_CONNECTION as error:
            log.warning("subscription_lost", queue=self._queue, error=type(error).__name__)
            await self.close()

    async def _arrive(self, delivered: aiormq.abc.DeliveredMessage) -> None:
        """Its tag is known first of all: no `multiple` may cover a delivery that somebody stumbled over. That one comes again."""
        if (tag := delivered.delivery_tag) is not None:
            self._outstanding.delivered(tag)
        try:
            self._deliver(Delivery(IncomingMessage(delivered), self))
        except Exception:
            log.exception("delivery_given_back", queue=self._queue)
            await self.close()

    async def acknowledge(self, tags: Iterable[int]) -> None:
        """As many at once as nothing unsettled stands below."""
        up_to, single = self._outstanding.settle(tags)
        async with self._ending_with_its_channel():
            if up_to is not None:
                await self._channel.basic_ack(up_to, multiple=True)
            for tag in single:
                await self._channel.basic_ack(tag)
