"""HTTP on the wire, on a real server of uvicorn's: how long what may be, what is dropped, and who is told that a client has left."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deploy.local.ports import LOOPBACK
from shared import http_protocol
from tests.servers.pace import every, others_turn

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


class App:
    """Says how long each body was. `/early` is answered before its body, `/live` goes on until the client leaves."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.headers: list[list[bytes]] = []
        self.values: list[list[bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, scope["path"] != "/early"
        while more:
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        self.headers.append([name for name, _ in scope["headers"]])
        self.values.append([value for _, value in scope["headers"]])
        answer = b"=%d;" % size
        headers = [] if scope["path"] == "/live" else [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/live":
            await self._live(receive, send)
        else:
            await send({"type": "http.response.body", "body": answer})

    async def _live(self, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_is_gone(receive))
        async for _ in every(0.01):
            await send({"type": "http.response.body", "body": b".", "more_body": True})
            if leaving.done():
                break
        self.left.set()


async def _is_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def port(app: App) -> AsyncIterator[int]:
    http = http_protocol.with_origins(["https://shop.example"])
    config = uvicorn.Config(app, host=LOOPBACK, port=0, http=http, lifespan="off", log_config=None)
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
        first = await reader.readuntil(b"=50000;")
        writer.write(b"content-length: 0\r\n\r\n")
        second = await reader.readuntil(b"=0;")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"content-length: 0\r\n\r\n" + HEAD], ids=["none", "part", "second"]
)
async def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(
    sent: bytes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_LIMIT_S", 0.2)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert (await reader.read()).count(b"HTTP/1.1 200 ") == (b"\r\n\r\n" in sent)
    writer.close()


async def test_a_body_may_take_longer_than_a_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_LIMIT_S", 0.1)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(HEAD + b"content-length: 1\r\n\r\n")
    await writer.drain()
    cut_off, other = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(5):
        assert await cut_off.read() == b""  # its head had as long as this body has had
        writer.write(b"x")
        assert (await reader.readuntil(b"=1;")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    other.close()


OFFER = (
    b"POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
)
INNER = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: %d\r\n\r\n" % len(INNER), INNER),
        (b"transfer-encoding: chunked\r\n\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)),
    ],
    ids=["length", "chunked"],
)
async def test_a_request_that_offers_another_protocol_is_one_request_with_its_body(
    framing: bytes, body: bytes, in_pieces: bool, port: int, app: App
) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(5):
        for piece in [OFFER + framing, body] if in_pieces else [OFFER + framing + body]:
            writer.write(piece)
            await writer.drain()
        assert (await reader.readuntil(b";")).endswith(b"=%d;" % len(INNER))
        writer.write(HEAD + b"content-length: 0\r\nconnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"=0;")
    assert len(app.headers) == 2
    assert {b"upgrade", b"http2-settings"}.isdisjoint(app.headers[0])
    writer.close()


async def test_very_many_offers_in_one_piece_are_very_many_requests(port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write((OFFER + b"\r\n") * 1_500 + HEAD + b"connection: close\r\ncontent-length: 0\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.read()).count(b"=0;") == 1_501
    writer.close()


@pytest.mark.parametrize("sent", [b"CONNECT shop.example:443 HTTP/1.1\r\nhost: x\r\n\r\n", b"no request\r\n\r\n"])
async def test_what_is_no_request_to_us_is_refused_and_the_connection_closed(sent: bytes, port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    async with asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    assert app.headers == []
    writer.close()


async def test_trailers_are_no_headers(port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nauthorization: Bearer x\r\n\r\n")
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b";")).endswith(b"=1;")
    assert app.headers == [[b"host", b"transfer-encoding"]]
    writer.close()


@pytest.mark.parametrize("path", [b"/", b"/early"])
@pytest.mark.parametrize(
    ("begin", "more"),
    [(b"0\r\n", b"a: b\r\n"), (b"0\r\na: ", b"b"), (b"1;a=", b"b")],
    ids=["trailers", "one trailer", "an extension"],
)
async def test_what_follows_a_head_and_is_no_body_has_an_end(begin: bytes, more: bytes, path: bytes, port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(HEAD.replace(b"/", path, 1) + b"transfer-encoding: chunked\r\n\r\n" + begin)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(more * 1_000)
                await writer.drain()
                await others_turn()
    writer.close()


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (HEAD.replace(b"/", b"/early", 1) + b"content-length: 9\r\n\r\n", b"123456789"),
        (HEAD.replace(b"/", b"/early", 1) + b"content-length: 9\r\n\r\n", b"1"),
        (HEAD + b"content-length: 0\r\n\r\n", b"\r\n"),
    ],
    ids=["a late body", "a part of a late body", "an empty line"],
)
async def test_a_connection_on_which_nothing_follows_is_closed(
    first: bytes, then: bytes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_LIMIT_S", 0.2)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(5):
        writer.write(first)
        await reader.readuntil(b";")
        writer.write(then)
        assert await reader.read() == b""
    writer.close()


async def test_a_client_that_leaves_has_left_although_another_of_its_requests_is_queued(port: int, app: App) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    async with asyncio.timeout(5):
        writer.write(HEAD.replace(b"/", b"/live", 1) + b"content-length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"content-length: 0\r\n\r\n")
        await writer.drain()
        writer.transport.abort()
        await app.left.wait()


@pytest.mark.parametrize("blanks", [b" ", b"\t", b" \t \t"])
async def test_the_blanks_around_a_value_are_no_part_of_it(blanks: bytes, port: int, app: App) -> None:
    """RFC 9110, 5.5. A proxy that normalises one of two tries would else make two keys of one."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nidempotency-key:" + blanks + b"k 1" + blanks + b"\r\nprefer: wait=5")
    writer.write(blanks + b"\r\nempty:" + blanks + b"\r\ncontent-length: 0" + blanks + b"\r\n\r\n")
    async with asyncio.timeout(5):
        await reader.readuntil(b"=0;")
    assert app.values == [[b"x", b"k 1", b"wait=5", b"", b"0"]]
    writer.close()


async def test_a_client_of_http_1_0_gets_no_chunks_and_the_body_ends_with_the_connection(port: int, app: App) -> None:
    """RFC 9112, 6.1."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET /live HTTP/1.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(5)
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body == b"....."
    writer.transport.abort()
    async with asyncio.timeout(5):
        await app.left.wait()


async def test_an_answer_with_a_length_is_the_same_to_http_1_0(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\nab")
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert b"content-length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n=2;")
    writer.close()


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\norigin: https://shop.example\r\nhost: x\r\nbad header\r\n\r\n", 400, "bad_request"),
        (HEAD + b"origin: https://shop.example\r\nx: y\r\nz: ", 431, "headers_too_large"),
    ],
    ids=["not HTTP", "too long"],
)
async def test_what_is_refused_before_any_application_has_it_is_a_problem_that_the_shops_pages_may_read(
    sent: bytes, status: int, code: str, port: int
) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(sent)
    async with asyncio.timeout(10):
        for _ in range(34 if status == 431 else 0):
            await writer.drain()
            await others_turn()
            writer.write(b"x" * 1_000)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {status} ")
    assert {"access-control-allow-origin: https://shop.example", "vary: Origin", "connection: close"} <= set(lines)
    assert "content-type: application/problem+json" in lines
    assert json.loads(body)["type"] == f"urn:parley:problem:{code}"
    writer.close()


async def test_pages_of_another_origin_may_not_read_what_is_refused(port: int) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(b"GET / HTTP/1.1\r\norigin: https://evil.example\r\nhost: x\r\nbad header\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"access-control" not in answer
    writer.close()
