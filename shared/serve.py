"""Runs a service's application: one process, one event loop, one port."""

import asyncio
import gc
import sys

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.settings import CommonSettings

MAX_HEADER_BYTES = 32 * 1024
# From the connection, or the head's first piece, to its end. Between requests it is KEEP_ALIVE_S that counts.
HEAD_LIMIT_S = 15
# Longer than proxies and clients keep idle connections, so that it is they who close them and no request meets a closing one.
KEEP_ALIVE_S = 75
# Python looks for cycles whenever 700 objects more are alive than freed, over and over within one busy second: an eighth of a post's time.
GARBAGE_AFTER = (20_000, 20, 20)


class LimitedHead(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes a head of any length into memory, and waits for it for ever.

    What is counted begins with the piece after the one in which the head begins: that one may hold the end of another request.
    """

    _is_in_head = False
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        was_in_head = self._is_in_head
        super().data_received(data)
        if not self._is_in_head:
            return
        if self._late is None:
            self._expect_head()
        if was_in_head:
            self._head_bytes += len(data)
        if self._head_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_is_there()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(HEAD_LIMIT_S, self.transport.close)

    def _head_is_there(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def run(app: FastAPI, settings: CommonSettings) -> None:
    """Serves until SIGTERM or SIGINT; then what is under way may end within the grace period. Exit status 1 if it could not start."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            http=LimitedHead,
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        )
    )
    gc.freeze()
    gc.set_threshold(*GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    if not server.started:
        sys.exit(1)
