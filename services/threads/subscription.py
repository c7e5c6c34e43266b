"""One subscription to `threads.commands` on one channel: what it delivered, and how that is acknowledged."""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import aiormq.abc
import structlog
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractIncomingMessage

from services.threads.acknowledge import Outstanding
from shared.delivery import BROKER_AWAY, redeliveries

log = structlog.get_logger(__name__)

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

    Network errors are passed over here: the connection's keeper sees them too, and begins anew.
    """

    def __init__(self, channel: aiormq.abc.AbstractChannel, queue: str, *, deliver: Callable[[Delivery], None]) -> None:
        self._channel, self._queue, self._deliver = channel, queue, deliver
        self._outstanding = Outstanding()
        self._tag: str | None = None
        self.prefetch = 0

    @property
    def is_open(self) -> bool:
        return not self._channel.is_closed

    @property
    def is_consuming(self) -> bool:
        return self._tag is not None and self.is_open

    async def consume(self, *, prefetch: int) -> None:
        """Consumes with this prefetch. It counts for consumers that begin after it was set, so consuming begins anew."""
        with contextlib.suppress(*BROKER_AWAY):
            await self.pause()
            await self._channel.basic_qos(prefetch_count=prefetch)
            self.prefetch = prefetch
            started = await self._channel.basic_consume(self._queue, self._arrive)
            self._tag = started.consumer_tag

    async def pause(self) -> None:
        """Nothing more is delivered; what was is still to be settled."""
        if self._tag is not None:
            tag, self._tag = self._tag, None
            with contextlib.suppress(*BROKER_AWAY):
                await self._channel.basic_cancel(tag)

    async def close(self) -> None:
        """Gives back whatever is not acknowledged."""
        self._tag = None
        with contextlib.suppress(*BROKER_AWAY):
            await self._channel.close()

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
        with contextlib.suppress(*BROKER_AWAY):
            if up_to is not None:
                await self._channel.basic_ack(up_to, multiple=True)
            for tag in single:
                await self._channel.basic_ack(tag)
