"""A client of live events as a shop's page would be: reads, remembers the last id, drops what it knows, and comes back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from shared import topology
from shared.events import EventEnvelope
from shared.publishing import Outgoing, Publisher
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually


@dataclass(frozen=True)
class Block:
    """One block of the stream: an event, or an id alone."""

    id: int | None
    event: str | None
    data: Any


class Listener:
    def __init__(self, session: aiohttp.ClientSession, bearer: str) -> None:
        self._session, self._bearer = session, bearer
        self.last_id: int | None = None
        self.blocks: list[Block] = []
        self.status = 0
        self.ended = False

    @property
    def events(self) -> list[Block]:
        return [block for block in self.blocks if block.event is not None]

    @property
    def offsets(self) -> list[int | None]:
        return [block.id for block in self.events]

    @asynccontextmanager
    async def connected(self, url: str, *, last_event_id: str | None = None) -> AsyncIterator["Listener"]:
        """Reads in the background while in it; `ended` when the gateway ends it. Goes on at the last id that it has seen."""
        headers = {"Authorization": f"Bearer {self._bearer}"}
        resumed = last_event_id if last_event_id is not None else self.last_id
        if resumed is not None:
            headers["Last-Event-ID"] = str(resumed)
        self.ended = False
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with self._session.get(f"{url}/v1/events", headers=headers, timeout=timeout) as response:
            self.status = response.status
            reading = asyncio.create_task(self._read(response))
            try:
                yield self
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        lines: dict[str, str] = {}
        try:
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    lines[name] = value
                else:
                    self._take(lines)
                    lines = {}
        finally:
            self.ended = True

    def _take(self, lines: dict[str, str]) -> None:
        offset = int(lines["id"]) if "id" in lines else None
        if offset is not None:
            self.last_id = offset
        data = json.loads(lines["data"]) if "data" in lines else None
        self.blocks.append(Block(offset, lines.get("event"), data))


class Happenings:
    """Publishes events as threads does."""

    def __init__(self, vhost: Vhost) -> None:
        self._publisher = Publisher(vhost.url("threads"), name="test-events")

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator["Happenings"]:
        self._publisher.start()
        await eventually(lambda: self._publisher.is_connected)
        yield self
        await self._publisher.close()

    async def happen(self, *events: EventEnvelope) -> None:
        await asyncio.gather(*(self._publisher.publish(self._message(event)) for event in events))

    def _message(self, event: EventEnvelope) -> Outgoing:
        kind = event.type.removeprefix("parley.").rpartition(".")[0]
        return Outgoing(topology.EVENTS, kind, event.model_dump_json().encode(), message_id=event.id)
