"""Commands and replies on one connection to an SMTP server, several commands in one write where the server can (PIPELINING, RFC 2920).

aiosmtplib connects, greets, secures and signs in, and then hands its transport over: it takes one command at a time, at 100 us each.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, cast

MAX_REPLY_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server said: its code, and its lines in one."""

    code: int
    text: str


class Wire(asyncio.Protocol):
    """One question at a time, of one or more commands. Raises OSError (also TimeoutError) where no whole answer comes."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._received = bytearray()
        self._lines: list[str] = []
        self._replies: list[Reply] = []
        self._wanted = 0
        self._answered: asyncio.Future[list[Reply]] | None = None
        self._broken = False
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        return not self._broken and not self._transport.is_closing()

    async def ask(self, commands: bytes, *, replies: int, limit_s: float) -> list[Reply]:
        """So many replies to these commands, in their order."""
        if not self.is_open:
            raise ConnectionResetError("the connection is closed")
        self._wanted, self._replies = replies, []
        loop = asyncio.get_running_loop()
        self._answered = loop.create_future()
        # Half the price of asyncio.timeout, thrice a mail.
        late = loop.call_later(limit_s, self._fail, TimeoutError())
        self._transport.write(commands)
        try:
            return await self._answered
        finally:
            late.cancel()
            self._answered = None

    def close(self) -> None:
        self._broken = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """What comes unasked puts us out of step: whatever is said next could be the answer to something else."""
        answered = self._answered
        if answered is None or answered.done():
            self._broken = True
            return
        self._received += data
        try:
            self._read_lines()
        except ValueError:
            self._fail(ConnectionError("no SMTP reply"))
            return
        if len(self._replies) >= self._wanted:
            self._broken = len(self._replies) > self._wanted
            answered.set_result(self._replies[: self._wanted])

    def _read_lines(self) -> None:
        """Raises ValueError for what is no reply."""
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end]).rstrip()
            del self._received[: end + 1]
            code = int(line[:3])
            self._lines.append(line[4:].decode("utf-8", "replace"))
            if line[3:4] != b"-":
                self._replies.append(Reply(code, " ".join(self._lines)))
                self._lines = []
        if len(self._received) > MAX_REPLY_BYTES or len(self._lines) > MAX_REPLY_BYTES:
            raise ValueError("an endless reply")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the server hung up"))

    def _fail(self, error: Exception) -> None:
        self._broken = True
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
