"""One live connection as an HTTP answer: server-sent events until the client leaves, the token expires, or it reads too slowly."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.gateway.live.clients import Client, Clients
from services.gateway.live.feed import Feed, Gap
from services.gateway.live.ring import NOTHING_YET
from services.gateway.metrics import Figures
from shared.losses import end
from shared.publishing import BROKER_AWAY

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 15.0
AHEAD_LIMIT_S: Final = 2.0
REPLAY_LIMIT_S: Final = 30.0
LAST_WORD_LIMIT_S: Final = 1.0
SKIPPED_BETWEEN_IDS: Final = 200
MAX_OFFSET: Final = 2**53
RETRY_MS: Final = 1_000
RESYNC: Final = b"event: resync\ndata: {}\n\n"

Say = Callable[[bytes], Awaitable[None]]


def offset_in(last_event_id: str | None) -> int | None:
    """The offset in a Last-Event-ID, or None where it cannot be one of ours."""
    value = last_event_id or ""
    known = value.isascii() and value.isdecimal() and len(value) <= 16
    return int(value) if known and int(value) <= MAX_OFFSET else None


class LiveAnswer(Response):
    """Frees the client's place when it ends, however it ends."""

    media_type = "text/event-stream"

    def __init__(
        self,
        *,
        client: Client,
        clients: Clients,
        feed: Feed,
        figures: Figures,
        last_event_id: str | None,
        ends_at: float,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._client, self._clients, self._feed, self._figures = client, clients, feed, figures
        self._last_event_id, self._ends_at = last_event_id, ends_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def say(part: bytes) -> None:
            await send({"type": "http.response.body", "body": part, "more_body": True})

        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._until_it_ends(receive, say)
        finally:
            self._clients.leave(self._client)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_LIMIT_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _until_it_ends(self, receive: Receive, say: Say) -> None:
        talking = asyncio.create_task(self._talk(say))
        leaving = asyncio.create_task(_left(receive))

        def cut_off() -> None:
            talking.cancel()

        self._client.cut_off = cut_off
        try:
            left_s = max(0.0, self._ends_at - time.time())
            await asyncio.wait({talking, leaving}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for ended in await end(talking, leaving):
                if isinstance(ended, Exception):
                    log.error("live_connection_failed", exc_info=ended)

    async def _talk(self, say: Say) -> None:
        try:
            await self._catch_up(say)
            while True:
                await self._go_on(say)
        except BROKER_AWAY:
            return

    async def _catch_up(self, say: Say) -> None:
        """Brings the client to the tip: with what it has missed, or with `resync` where that cannot be had."""
        if self._last_event_id is None:
            self._join(self._feed.ring.tip)
            await say(self._position())
        elif not await self._missed_is_said(self._last_event_id, say):
            self._figures.live_resyncs.inc()
            self._join(self._feed.ring.tip)
            await say(self._position() + RESYNC)

    async def _missed_is_said(self, last_event_id: str, say: Say) -> bool:
        """Says what came after this id, and joins. False where that cannot be had."""
        offset = offset_in(last_event_id)
        if offset is None or not await self._feed.reached(offset, within_s=AHEAD_LIMIT_S):
            return False
        try:
            async with asyncio.timeout(REPLAY_LIMIT_S):
                while not self._feed.ring.covers(offset):
                    offset = await self._replay(offset, say)
        except (Gap, TimeoutError):
            return False
        self._join(offset)
        return True

    async def _replay(self, offset: int, say: Say) -> int:
        """Says what happened before the ring begins. Returns the offset that the client has seen; the ring may have moved on meanwhile."""
        skipped = 0
        async with contextlib.aclosing(self._feed.replay(offset, person=self._client.caller_key)) as events:
            async for event in events:
                offset, skipped = event.offset, skipped + 1
                if self._client.place in event.places:
                    skipped = 0
                    await say(event.said_to(self._client.person, place=self._client.place))
                elif skipped % SKIPPED_BETWEEN_IDS == 0:
                    await say(f"id: {offset}\n\n".encode())
        return offset

    def _join(self, offset: int) -> None:
        """Nothing is awaited between looking into the ring and joining, so no event falls between the two."""
        missed = self._feed.ring.after(offset)
        self._client.catch_up_with([event for event in missed if self._client.place in event.places])
        self._clients.join(self._client)

    def _position(self) -> bytes:
        return f"retry: {RETRY_MS}\n".encode() + _id(self._feed.ring.tip)

    async def _go_on(self, say: Say) -> None:
        await self._client.wait(at_most_s=HEARTBEAT_S)
        if self._client.must_resync:
            self._client.must_resync = False
            self._figures.live_resyncs.inc()
            await say(RESYNC)
        tip, events = self._feed.ring.tip, self._client.take()
        for event in events:
            await say(event.said_to(self._client.person, place=self._client.place))
        if not events:
            await say(b": alive\n" + _id(tip))


def _id(tip: int) -> bytes:
    """An id without an event: the client has seen everything up to here, also what was not for it."""
    return b"\n" if tip == NOTHING_YET else f"id: {tip}\n\n".encode()


async def _left(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
