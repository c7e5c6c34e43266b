"""Reads `notifier.events`: while one group of deliveries is settled the next gathers, and a group is acknowledged at once."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Final

import aiormq.abc
import structlog
from aio_pika import IncomingMessage

from services.notifier.consumers import QUEUE, Notifications
from shared.connections import EndOfConnection, ended, keep_connected, opened_channel
from shared.delivery import Settler
from shared.losses import NO_CONNECTION, end, in_background, loss_is_an_error

log = structlog.get_logger(__name__)

STOP_LIMIT_S: Final = 3.0
CALL_LIMIT_S: Final = 10.0
MAX_GROUP: Final = 64


class Subscription:
    """A connection of its own, made again whenever it ends: what was delivered and is not acknowledged comes again then.

    One group is settled after another, so all below a group's last tag is settled when the group is.
    """

    def __init__(self, amqp_url: str, *, settler: Settler, notifications: Notifications, prefetch: int) -> None:
        self._url, self._settler, self._notifications = amqp_url, settler, notifications
        self._prefetch = prefetch
        self._channel: aiormq.abc.AbstractChannel | None = None
        self._tag: str | None = None
        self._arrived: deque[aiormq.abc.DeliveredMessage] = deque()
        self._has_arrived = asyncio.Event()
        self._in_hand = asyncio.Lock()
        self._connected: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Attaches to the queue as soon as RabbitMQ is there."""
        self._connected = in_background(
            keep_connected(self._url, "notifier-consumer", self._serve), name="notifications: connection"
        )

    async def stop(self) -> None:
        """Takes nothing more; the group in hand may end."""
        if self._connected is None:
            return
        with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
            async with asyncio.timeout(STOP_LIMIT_S):
                if self._channel is not None and self._tag is not None:
                    await self._channel.basic_cancel(self._tag)
                await self._in_hand.acquire()
        await end(self._connected)

    @property
    def is_attached(self) -> bool:
        """Whether RabbitMQ delivers to us."""
        return self._tag is not None and self._channel is not None and not self._channel.is_closed

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        self._channel = channel = await opened_channel(connection, publisher_confirms=False)
        self._arrived.clear()
        settling = asyncio.create_task(self._settle_groups(channel), name="notifications: settle")
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                await channel.basic_qos(prefetch_count=self._prefetch)
                self._tag = (await channel.basic_consume(QUEUE.name, self._arrive)).consumer_tag
            log.info("consumer_attached", queue=QUEUE.name)
            return await ended(connection, channel)
        finally:
            self._tag = None
            await end(settling)

    async def _arrive(self, delivered: aiormq.abc.DeliveredMessage) -> None:
        if delivered.channel is self._channel:
            self._arrived.append(delivered)
            self._has_arrived.set()

    async def _settle_groups(self, channel: aiormq.abc.AbstractChannel) -> None:
        """Until cancelled. A defect closes the channel: what it stumbled over comes again, and nothing is acknowledged on top of it."""
        try:
            while True:
                await self._has_arrived.wait()
                async with self._in_hand:
                    with loss_is_an_error():
                        await self._settle(channel, [IncomingMessage(each) for each in self._next_group()])
        except Exception:
            log.exception("deliveries_given_back", queue=QUEUE.name)
            with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
                await channel.close()

    def _next_group(self) -> list[aiormq.abc.DeliveredMessage]:
        group = [self._arrived.popleft() for _ in range(min(MAX_GROUP, len(self._arrived)))]
        if not self._arrived:
            self._has_arrived.clear()
        return group

    async def _settle(self, channel: aiormq.abc.AbstractChannel, group: Sequence[IncomingMessage]) -> None:
        """What cannot be taken with the others is settled singly, and acknowledged by its settler."""
        singly = await self._notifications.take_some(group)
        await asyncio.gather(*(self._settler.settle(message, self._notifications.handle) for message in singly))
        left = {id(message) for message in singly}
        tags = [message.delivery_tag or 0 for message in group if id(message) not in left]
        if tags:
            with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
                await channel.basic_ack(max(tags), multiple=True)
