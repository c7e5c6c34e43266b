"""Reads the RabbitMQ stream parley.live from an offset on, in order, at its reader's pace."""

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

import aiormq
import aiormq.abc

from shared import topology
from shared.connections import ended, opened_channel
from shared.losses import NO_CONNECTION, loss_is_an_error

PREFETCH: Final = 200
OPEN_LIMIT_S: Final = 5.0

Start = int | Literal["first", "last"]


class StreamEnded(ConnectionError):
    """The channel is gone, or RabbitMQ has ended the subscription."""


@dataclass(frozen=True, slots=True)
class Delivered:
    offset: int
    body: bytes
    tag: int


async def holds_anything(connection: aiormq.abc.AbstractConnection) -> bool:
    """Whether RabbitMQ counts events in the stream. Its count may lag behind; only an empty one is said at once."""
    async with asyncio.timeout(OPEN_LIMIT_S):
        channel = await connection.channel(publisher_confirms=False)
        declared = await channel.queue_declare(topology.LIVE_STREAM, passive=True)
        await channel.close()
    return bool(declared.message_count)


class StreamReading:
    """A subscription of its own channel; at most `prefetch` events wait in it unread.

    `start` is an offset (from it on, or from the oldest there still is), or the first or last chunk; a chunk may hold many events.
    """

    def __init__(self, connection: aiormq.abc.AbstractConnection, *, start: Start, prefetch: int = PREFETCH) -> None:
        self._connection, self._start, self._prefetch = connection, start, prefetch
        self._delivered: asyncio.Queue[Delivered | None] = asyncio.Queue()
        self._channel: aiormq.Channel | None = None
        self._watch: asyncio.Task[None] | None = None
        self._unacknowledged = 0

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                await self._subscribe()
        except BaseException:
            await self._close()
            raise
        return self

    async def _subscribe(self) -> None:
        channel = self._channel = await opened_channel(self._connection, publisher_confirms=False)
        self._watch = asyncio.create_task(self._notice_the_end(channel))
        await channel.basic_qos(prefetch_count=self._prefetch)
        await channel.basic_consume(topology.LIVE_STREAM, self._take, arguments={"x-stream-offset": self._start})

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._channel is not None:
            with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
                async with asyncio.timeout(OPEN_LIMIT_S):
                    await self._channel.close()

    async def next(self) -> Delivered:
        """The next event of the stream. Raises StreamEnded."""
        delivered = await self._delivered.get()
        if delivered is None:
            raise StreamEnded("the subscription has ended")
        await self._acknowledge(delivered)
        return delivered

    async def _take(self, message: aiormq.abc.DeliveredMessage) -> None:
        """Called in the order of the stream; does not wait for anything, so that the order holds."""
        headers = message.header.properties.headers or {}
        offset, tag = headers.get("x-stream-offset"), message.delivery_tag
        if isinstance(offset, int) and tag is not None:
            self._delivered.put_nowait(Delivered(offset=offset, body=message.body, tag=tag))

    async def _acknowledge(self, delivered: Delivered) -> None:
        """In a stream, acknowledging only asks for more; so it is done for many at a time."""
        self._unacknowledged += 1
        if self._channel is not None and self._unacknowledged >= self._prefetch // 4:
            self._unacknowledged = 0
            await self._channel.basic_ack(delivered.tag, multiple=True)

    async def _notice_the_end(self, channel: aiormq.Channel) -> None:
        await ended(self._connection, channel)
        self._delivered.put_nowait(None)
