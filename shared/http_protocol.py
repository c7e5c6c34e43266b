"""HTTP on the wire: uvicorn's protocol over httptools, with limits that neither has, and without changes of protocol."""

import asyncio
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, ClassVar, Final

import httptools
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from shared.errors import PROBLEM_MEDIA_TYPE, Problem

# Of what leads to no next step of a request: a head, trailers, extensions of a chunk, empty lines.
MAX_HEADER_BYTES: Final = 32 * 1024
# From the connection, or the head's first piece, to its end. Between requests it is the server's keep-alive that counts.
HEAD_LIMIT_S: Final = 15
OFFER: Final = frozenset({b"upgrade", b"http2-settings"})
BLANKS: Final = b" \t"
NOT_HTTP: Final = Problem(
    type="urn:parley:problem:bad_request",
    title="The request is not valid HTTP for this",
    status=400,
    detail="The request is not HTTP/1.1 as RFC 9112 has it; it was not read.",
)
HEAD_TOO_LONG: Final = Problem(
    type="urn:parley:problem:headers_too_large",
    title="The headers are too large",
    status=431,
    detail=f"The head of a request may have {MAX_HEADER_BYTES} bytes.",
)


class LimitedHttp(HttpToolsProtocol):
    """A head has an end in bytes and in time, trailers are dropped, and a connection on which nobody is waited for is closed.

    What is counted begins with the piece after the one with the last step: that one may hold the end of another request.

    An offer to change the protocol is not taken up, and the request is answered as if it had not been made (RFC 9110, 7.8): some clients
    offer HTTP/2 with each first request. httptools ends such a request at its head, and would take its body for the next request.

    `origins` are those whose pages may read what is refused here, before any application has the request (`with_origins`).
    """

    origins: ClassVar[frozenset[bytes]] = frozenset()

    _is_in_head = False
    _is_in_message = False
    _has_gone_on = False
    _bytes_since = 0
    _late: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Told to the request that is being answered: uvicorn tells the last one, which may only be queued."""
        self._head_is_there()
        super().connection_lost(exc)
        if self._answered is not None and self._is_answering:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._has_gone_on = False
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            self._refuse(NOT_HTTP)
            return
        self._bytes_since = 0 if self._has_gone_on else self._bytes_since + len(data)
        if self._bytes_since > MAX_HEADER_BYTES:
            self._refuse(HEAD_TOO_LONG)
        elif self._late is None and (self._is_in_head or not self._is_answering):
            self._expect_head()

    def _parse(self, rest: memoryview) -> None:
        """Raises HttpParserError."""
        while rest:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as offered:
                if self.parser.get_method() == b"CONNECT":
                    raise httptools.HttpParserError("no proxy") from None
                rest = rest[offered.args[0] :]
                self._begin_again()
            else:
                return

    def _begin_again(self) -> None:
        """The same head without the offer, to a parser that goes on behind it."""
        lines = [b" ".join((self.parser.get_method(), self.url, b"HTTP/" + self.parser.get_http_version().encode()))]
        lines += [name + b": " + _unoffered(name, value) for name, value in self.headers if name not in OFFER]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join((*lines, b"", b"")))

    def _refuse(self, why: Problem) -> None:
        """Hangs up; and says why, where that cannot be taken for the answer to something else."""
        if not self._is_answering and (self._is_in_head or not self._is_in_message) and not self.transport.is_closing():
            self.transport.write(_written(why, self._headers_of_refusal()))
        self.transport.close()

    def _headers_of_refusal(self) -> Iterator[tuple[bytes, bytes]]:
        yield b"cache-control", b"no-store"
        yield b"x-content-type-options", b"nosniff"
        yield b"connection", b"close"
        origin = dict(self.headers or ()).get(b"origin", b"")
        if origin in self.origins or b"*" in self.origins:
            yield b"access-control-allow-origin", origin if origin in self.origins else b"*"
            yield b"vary", b"Origin"

    @property
    def _is_answering(self) -> bool:
        return self._answered is not None and not self._answered.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        answering: Any = _UntilClose(app, cycle) if cycle.scope["http_version"] == "1.0" else app
        super()._start_asgi_task(cycle, answering)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = self._is_in_message = self._has_gone_on = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers come here too, and might overrule what a proxy has said of the request (RFC 9110, 6.5.1).

        The blanks behind a value are no part of it (RFC 9110, 5.5); httptools takes away only those before it.
        """
        if self._is_in_head:
            super().on_header(name, value.rstrip(BLANKS))

    def on_headers_complete(self) -> None:
        self._has_gone_on = True
        if not self.parser.should_upgrade():
            self._is_in_head = False
            self._head_is_there()
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._has_gone_on = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._is_in_message, self._has_gone_on = False, True
            super().on_message_complete()

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEAD_LIMIT_S, self.transport.close)

    def _head_is_there(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class _UntilClose:
    """Answers HTTP/1.0: never in chunks (RFC 9112, 6.1). What has no Content-Length ends with the connection, which is not kept."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app, self._cycle = app, cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_length = True

        async def send_plainly(message: Message) -> None:
            nonlocal has_length
            if message["type"] == "http.response.start":
                has_length = any(name.lower() == b"content-length" for name, _ in message.get("headers", ()))
                if not has_length:
                    self._cycle.chunked_encoding = False
            elif not has_length:
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_plainly)


def with_origins(origins: Iterable[str]) -> type[LimitedHttp]:
    """The protocol of a service whose answers pages of these origins may read (CORS)."""
    return type("LimitedHttp", (LimitedHttp,), {"origins": frozenset(origin.encode() for origin in origins)})


def _written(problem: Problem, headers: Iterator[tuple[bytes, bytes]]) -> bytes:
    body = problem.model_dump_json(exclude_none=True).encode()
    lines = [b"HTTP/1.1 %d %b" % (problem.status, HTTPStatus(problem.status).phrase.encode())]
    lines += [b"%b: %b" % header for header in headers]
    lines += [b"content-type: " + PROBLEM_MEDIA_TYPE.encode(), b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)


def _unoffered(name: bytes, value: bytes) -> bytes:
    if name != b"connection":
        return value
    return b",".join(each for each in value.split(b",") if each.strip().lower() not in OFFER)
