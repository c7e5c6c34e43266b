"""A TCP proxy between a client and a server, which can delay, slice, hold back, cut and refuse, and swallow publisher confirms."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from deploy.local.ports import LOOPBACK, free_port
from tests.servers.amqp_frames import FrameReader, is_confirm
from tests.servers.pace import lasting, others_turn

T = TypeVar("T")
CHUNK_BYTES: Final = 65_536
CONNECT_LIMIT_S: Final = 2.0
CLOSE_LIMIT_S: Final = 5.0
NETWORK_TROUBLE: Final = (OSError, asyncio.IncompleteReadError, TimeoutError)


@dataclass
class Weather:
    """What the network does to what passes through, in both directions."""

    delay_s: float = 0.0
    piece_bytes: int | None = None
    refuses: bool = False
    swallows_confirms: bool = False
    flowing: asyncio.Event = field(default_factory=asyncio.Event)


class ProxyLoop:
    """The thread on whose event loop proxies run: one serves any number of them."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="proxies", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=10)

    def call(self, work: Callable[[], None]) -> None:
        """Runs it on the loop and waits for it: afterwards the weather is as it says."""

        async def done() -> None:
            work()

        self.do(done())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(timeout=10)
        self.loop.close()


class Proxy:
    """Listens on a free loopback port and passes everything on to the first of its targets that accepts, in turns.

    Methods may be called from any thread. `speaks_amqp` is needed for swallowing confirms.
    """

    def __init__(self, runner: ProxyLoop, *targets: int, speaks_amqp: bool = False) -> None:
        self.port = free_port()
        self.swallowed = 0
        self._runner, self._targets, self._speaks_amqp = runner, targets, speaks_amqp
        self._turn = itertools.count()
        self._weather = Weather()
        self._weather.flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def start(self) -> "Proxy":
        self._server = self._runner.do(asyncio.start_server(self._accept, LOOPBACK, self.port))
        return self

    def close(self) -> None:
        self._runner.do(self._close())

    def delay(self, delay_s: float) -> None:
        """Every chunk of bytes is late by so much."""
        self._change(lambda: setattr(self._weather, "delay_s", delay_s))

    def slice(self, piece_bytes: int) -> None:
        """Bytes come in pieces of this size, each in a packet of its own."""
        self._change(lambda: setattr(self._weather, "piece_bytes", piece_bytes))

    def stall(self) -> None:
        """Connections stay open and nothing passes, as where packets are dropped."""
        self._change(self._weather.flowing.clear)

    def refuse(self) -> None:
        """Cuts what is open and hangs up on whoever connects."""
        self._change(lambda: setattr(self._weather, "refuses", True))
        self.cut()

    def cut(self) -> None:
        """Resets every open connection; new ones pass."""
        self._change(self._abort)

    def swallow_confirms(self) -> None:
        """The broker's confirms reach nobody; everything else does."""
        assert self._speaks_amqp, "only a proxy that reads AMQP knows confirms"
        self._change(lambda: setattr(self._weather, "swallows_confirms", True))

    def heal(self) -> None:
        """Good weather again. Connections that were not cut go on where they were."""
        self._change(self._clear_up)

    def _change(self, what: Callable[[], None]) -> None:
        self._runner.call(what)

    def _clear_up(self) -> None:
        weather = self._weather
        weather.delay_s, weather.piece_bytes, weather.refuses, weather.swallows_confirms = 0.0, None, False, False
        weather.flowing.set()

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._clear_up()
        self._abort()
        if self._passing:
            await asyncio.wait(self._passing, timeout=CLOSE_LIMIT_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)
        if self._weather.refuses:
            writer.transport.abort()
            return
        with contextlib.suppress(*NETWORK_TROUBLE):
            await self._weather.flowing.wait()
            await self._pass_on(reader, writer)
        writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both directions, until either ends: an end of one is passed on as the end of both."""
        server_reader, server_writer = await self._connect()
        both = {writer, server_writer}
        self._writers |= both
        ways = [
            asyncio.create_task(self._pump(reader, server_writer, None)),
            asyncio.create_task(self._pump(server_reader, writer, FrameReader() if self._speaks_amqp else None)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers -= both
            server_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises OSError where no target accepts."""
        first = next(self._turn)
        for step in range(len(self._targets)):
            port = self._targets[(first + step) % len(self._targets)]
            try:
                async with asyncio.timeout(CONNECT_LIMIT_S):
                    return await asyncio.open_connection(LOOPBACK, port)
            except (OSError, TimeoutError):
                continue
        raise ConnectionRefusedError("no target accepts")

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, frames: FrameReader | None
    ) -> None:
        weather = self._weather
        while data := await reader.read(CHUNK_BYTES):
            if weather.delay_s:
                await lasting(weather.delay_s)
            await weather.flowing.wait()
            passed = data if frames is None else self._without_confirms(frames.feed(data))
            await _write(writer, passed, weather.piece_bytes)
        # What the peer sent before it hung up still arrives.
        await writer.drain()

    def _without_confirms(self, frames: list[bytes]) -> bytes:
        if not self._weather.swallows_confirms:
            return b"".join(frames)
        kept = [frame for frame in frames if not is_confirm(frame)]
        self.swallowed += len(frames) - len(kept)
        return b"".join(kept)


async def _write(writer: asyncio.StreamWriter, data: bytes, piece_bytes: int | None) -> None:
    """asyncio sets TCP_NODELAY, so that a piece that was written while nothing waits is a packet."""
    if piece_bytes is None:
        writer.write(data)
        await writer.drain()
        return
    for start in range(0, len(data), piece_bytes):
        writer.write(data[start : start + piece_bytes])
        await writer.drain()
        await others_turn()
