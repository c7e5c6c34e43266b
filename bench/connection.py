"""A client that costs next to nothing itself: one kept connection, one request under way, no more of HTTP than the gateway answers with."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from deploy.local.ports import LOOPBACK

BODY_BEGINS: Final = b"\r\n\r\n"


class Connection:
    """To one port of this machine; made when first used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, target: str, token: str, body: Mapping[str, object] | None = None) -> Any:
        """The answer's JSON. Raises AssertionError where it is no success."""
        reader, writer = await self._open()
        writer.write(_request(method, target, token, body))
        head = await reader.readuntil(BODY_BEGINS)
        answer = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        assert head.startswith(b"HTTP/1.1 20"), head + answer
        return json.loads(answer)

    async def listen(self, target: str, token: str) -> AsyncIterator[bytes]:
        """An empty object as soon as it listens, then the data of each server-sent event, without end. Raises AssertionError where it is no success."""
        reader, writer = await self._open()
        writer.write(_request("GET", target, token, None))
        head = await reader.readuntil(BODY_BEGINS)
        assert head.startswith(b"HTTP/1.1 200 "), head
        yield b"{}"
        # The gateway sends each event as a chunk of its own, so no line of one is divided.
        while line := await reader.readline():
            if line.startswith(b"data: "):
                yield line[6:]

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(LOOPBACK, self._port)
        return self._streams

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()


def _request(method: str, target: str, token: str, body: Mapping[str, object] | None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    told = f"content-type: application/json\r\ncontent-length: {len(content)}\r\n" if body is not None else ""
    head = f"{method} {target} HTTP/1.1\r\nhost: {LOOPBACK}\r\nauthorization: Bearer {token}\r\n{told}\r\n"
    return head.encode() + content
