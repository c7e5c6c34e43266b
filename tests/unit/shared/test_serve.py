"""The head of a request: how long it may be, and how long it may take; on a real server of uvicorn's."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deploy.local.ports import LOOPBACK
from shared import serve

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    answer = str(size).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(echo, host=LOOPBACK, port=0, http=serve.LimitedHead, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    await server.shutdown()


async def test_a_long_body_and_the_beginning_of_the_next_head_in_one_piece_are_both_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    body = b"x" * 50_000
    writer.write(HEAD + b"content-length: 50000\r\n\r\n" + body + HEAD)
    async with asyncio.timeout(5):
        first = await reader.readuntil(b"50000")
        writer.write(b"content-length: 0\r\n\r\n")
        second = await reader.readuntil(b"\r\n\r\n0")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"content-length: 0\r\n\r\n" + HEAD], ids=["none", "part", "second"]
)
async def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(
    sent: bytes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_LIMIT_S", 0.2)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert (await reader.read()).count(b"HTTP/1.1 200 ") == (b"\r\n\r\n" in sent)
    writer.close()


async def test_a_body_may_take_longer_than_a_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_LIMIT_S", 0.1)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(HEAD + b"content-length: 1\r\n\r\n")
    await writer.drain()
    cut_off, other = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(5):
        assert await cut_off.read() == b""  # its head had as long as this body has had
        writer.write(b"x")
        assert (await reader.readuntil(b"\r\n\r\n1")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    other.close()
