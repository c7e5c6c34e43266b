"""Live connections that stay: opened one after the other at a gateway, read and forgotten."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from deploy.local.ports import LOOPBACK


class Listener(asyncio.Protocol):
    """One live connection. `started` is done when the gateway has answered with 200."""

    def __init__(self, request: bytes, started: asyncio.Future[None]) -> None:
        self._request, self._started = request, started
        self.is_open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        cast("asyncio.WriteTransport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._started.done():
            return
        if b" 200 " in data[:20]:
            self._started.set_result(None)
        else:
            self._started.set_exception(ConnectionRefusedError(data[:200].decode(errors="replace")))

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if not self._started.done():
            self._started.set_exception(error or ConnectionResetError("hung up"))


@asynccontextmanager
async def listening(port: int, tokens: Sequence[str], count: int) -> AsyncIterator[list[Listener]]:
    """So many live connections, by these people in turn."""
    loop = asyncio.get_running_loop()
    opened: list[tuple[asyncio.BaseTransport, Listener]] = []
    try:
        for token in itertools.islice(itertools.cycle(tokens), count):
            request = f"GET /v1/events HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer {token}\r\n\r\n"
            started: asyncio.Future[None] = loop.create_future()
            opened.append(await loop.create_connection(partial(Listener, request.encode(), started), LOOPBACK, port))
            await started
        yield [listener for _, listener in opened]
    finally:
        for transport, _ in opened:
            transport.close()
