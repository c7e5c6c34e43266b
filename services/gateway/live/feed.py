"""Follows the stream parley.live: keeps its newest events in the ring, tells the clients, and reads older ones again for who asks.

After a lost connection it starts at the last offset it knows, and so sees for certain whether anything is missing: that event must
come again, the same. Where it does not, there is a gap (or another stream), and every client is told to read everything anew.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

import aiormq.abc
import structlog

from services.gateway.live.audience import LiveEvent, ToldToNobody
from services.gateway.live.clients import Clients
from services.gateway.live.ring import NOTHING_YET, Ring
from services.gateway.live.stream import Delivered, StreamEnded, StreamReading, holds_anything
from services.gateway.live.turns import Turns
from shared.connections import EndOfConnection, keep_connected

log = structlog.get_logger(__name__)

REMEMBER_AT_START: Final = 1_000
FIRST_DELIVERY_LIMIT_S: Final = 5.0
EMPTY_LIMIT_S: Final = 0.5
# Of so many persons; each reads with few events in hand.
REPLAYS_AT_ONCE: Final = 16
REPLAY_PREFETCH: Final = 100


class Gap(Exception):
    """What comes after this offset is not in the stream, or not any more."""


class Feed:
    """`run` until cancelled. `is_current` says whether events arrive."""

    def __init__(self, amqp_url: str, *, ring: Ring, clients: Clients) -> None:
        self._url, self._clients = amqp_url, clients
        self.ring = ring
        self.is_current = False
        self._connection: aiormq.abc.AbstractConnection | None = None
        self._replays = Turns(REPLAYS_AT_ONCE)
        self._moved = asyncio.Condition()
        self._known = False

    async def run(self) -> None:
        await keep_connected(self._url, "gateway live", self._serve)

    @property
    def is_known(self) -> bool:
        """Whether the stream has been read up to its end once; before that nobody can be joined to it."""
        return self._known

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        self._connection = connection
        try:
            if self._known and self.ring.tip != NOTHING_YET:
                await self._go_on(connection)
            await self._begin(connection)
        except StreamEnded:
            return "stream subscription ended"
        finally:
            self.is_current, self._connection = False, None
        return "gap"

    async def _begin(self, connection: aiormq.abc.AbstractConnection) -> None:
        """Finds the end of the stream, reads the newest events before it, and follows it from there.

        Where the stream was empty when it was last seen, everything in it is read: clients may be waiting for its first event.
        """
        end = await self._end_of_stream(connection)
        start = 0 if end is None or self._known else max(0, end - REMEMBER_AT_START)
        if end is None:
            await self._caught_up()
        async with StreamReading(connection, start=start) as reading:
            while True:
                delivered = await reading.next()
                await self._add(delivered)
                if not self.is_current and end is not None and delivered.offset >= end:
                    await self._caught_up()

    async def _end_of_stream(self, connection: aiormq.abc.AbstractConnection) -> int | None:
        """An offset in the newest chunk, or None where the stream is empty: nothing comes, and RabbitMQ counts nothing in it."""
        limit_s = FIRST_DELIVERY_LIMIT_S if await holds_anything(connection) else EMPTY_LIMIT_S
        async with StreamReading(connection, start="last") as reading:
            try:
                async with asyncio.timeout(limit_s):
                    return (await reading.next()).offset
            except TimeoutError:
                return None

    async def _go_on(self, connection: aiormq.abc.AbstractConnection) -> None:
        """Follows the stream from the last known event on. Returns where that one is not there: then there is a gap."""
        async with StreamReading(connection, start=self.ring.tip) as reading:
            if not await self._is_continued(reading):
                log.error("live_gap", offset=self.ring.tip)
                self.ring.clear()
                self._known = False
                self._clients.resync_all()
                return
            await self._caught_up()
            while True:
                await self._add(await reading.next())

    async def _is_continued(self, reading: StreamReading) -> bool:
        try:
            async with asyncio.timeout(FIRST_DELIVERY_LIMIT_S):
                again = await reading.next()
        except TimeoutError:
            return False
        event = _event(again)
        return again.offset == self.ring.tip and (event.id if event else None) == self.ring.newest_id

    async def _caught_up(self) -> None:
        self.is_current = self._known = True
        await self._say_moved()
        log.info("live_current", offset=self.ring.tip)

    async def _add(self, delivered: Delivered) -> None:
        event = _event(delivered)
        self.ring.add(delivered.offset, event)
        if event is not None:
            self._clients.tell(event)
        await self._say_moved()

    async def _say_moved(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def reached(self, offset: int, *, within_s: float) -> bool:
        """Whether the stream comes as far as this offset in time: another gateway may be a moment ahead of this one."""
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self._known and self.ring.tip >= offset)
                return True
        except TimeoutError:
            return False

    async def replay(self, offset: int, *, person: str) -> AsyncGenerator[LiveEvent, None]:
        """The events after this offset from the stream itself, until the ring has the rest. Raises Gap, and StreamEnded.

        Few are read at a time, and by each person on one connection at a time: `person` is their caller key. Whoever calls must stop in
        bounded time.
        """
        async with self._replays.turn_of(person):
            if self._connection is None:
                raise StreamEnded("RabbitMQ is away")
            async with StreamReading(self._connection, start=offset, prefetch=REPLAY_PREFETCH) as reading:
                await self._require_at(reading, offset)
                while not self.ring.covers(offset):
                    delivered = await reading.next()
                    offset = delivered.offset
                    event = _event(delivered)
                    if event is not None:
                        yield event

    async def _require_at(self, reading: StreamReading, offset: int) -> None:
        try:
            async with asyncio.timeout(FIRST_DELIVERY_LIMIT_S):
                first = await reading.next()
        except TimeoutError:
            raise Gap from None
        if first.offset != offset:
            raise Gap


def _event(delivered: Delivered) -> LiveEvent | None:
    try:
        return LiveEvent(delivered.offset, delivered.body)
    except ToldToNobody:
        return None
    except (ValueError, KeyError, TypeError):
        log.warning("live_event_not_understood", offset=delivered.offset)
        return None
