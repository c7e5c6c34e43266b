"""An SMTP server that accepts everything: a fast one, for measuring those who send.

`python -m bench.baselines.sink PORT DIRECTORY`: before it says 250, each mail stands in a file of its own and on the disk (fsync),
as a mail server must have it that takes over the responsibility (RFC 5321, 4.2.5). `-` for the directory: in no file at all.
It offers SIZE, 8BITMIME, PIPELINING and SMTPUTF8. `HELP` answers how many mails it has accepted.
"""

import asyncio
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, cast

import uvloop

EXTENSIONS: Final = b"250-sink\r\n250-SIZE 10485760\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 SMTPUTF8\r\n"
ANSWERS: Final = {b"EHLO": EXTENSIONS, b"HELO": b"250 sink\r\n", b"QUIT": b"221 bye\r\n", b"DATA": b"354 go on\r\n"}
END: Final = b"\r\n.\r\n"
WRITERS: Final = 8


class Sink:
    """What all connections share: where mails go, and how many have been accepted."""

    def __init__(self, directory: Path | None) -> None:
        self._directory, self._numbers = directory, itertools.count()
        self._writers = ThreadPoolExecutor(WRITERS)
        self.accepted = 0

    def store(self, content: bytes, then: Callable[[], None]) -> None:
        """Calls `then` once the mail is on the disk."""
        if self._directory is None:
            return then()
        loop = asyncio.get_running_loop()
        path = self._directory / f"{next(self._numbers)}.eml"

        def write() -> None:
            file = os.open(path, os.O_CREAT | os.O_WRONLY)
            os.write(file, content)
            os.fsync(file)
            os.close(file)
            loop.call_soon_threadsafe(then)

        self._writers.submit(write)
        return None


class Session(asyncio.Protocol):
    """One connection. What comes while a mail is being stored waits for its turn."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._received = sink, bytearray()
        self._in_data = self._storing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._go_on()

    def _go_on(self) -> None:
        answers: list[bytes] = []
        while not self._storing and (answer := self._next()) is not None:
            answers.append(answer)
        if answers:
            self._transport.write(b"".join(answers))

    def _next(self) -> bytes | None:
        """The answer to what came, None while it is not whole or not stored."""
        if self._in_data:
            self._take_mail()
            return None
        end = self._received.find(b"\r\n")
        if end < 0:
            return None
        command = bytes(self._received[:end])
        del self._received[: end + 2]
        verb = command[:4].upper()
        if verb == b"HELP":
            return b"214 %d\r\n" % self._sink.accepted
        self._in_data = verb == b"DATA"
        return ANSWERS.get(verb, b"250 2.1.0 OK\r\n")

    def _take_mail(self) -> None:
        end = self._received.find(END)
        if end < 0:
            return
        content = bytes(self._received[: end + 2])
        del self._received[: end + len(END)]
        self._in_data, self._storing = False, True
        self._sink.store(content, self._stored)

    def _stored(self) -> None:
        self._sink.accepted += 1
        self._storing = False
        self._transport.write(b"250 2.0.0 OK\r\n")
        self._go_on()


async def serve(port: int, directory: Path | None) -> None:
    sink = Sink(directory)
    server = await asyncio.get_running_loop().create_server(lambda: Session(sink), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), None if sys.argv[2] == "-" else Path(sys.argv[2])))
