"""An SMTP server for tests that does as it is told: takes mails, refuses them, drops connections, or says nothing."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from functools import cached_property
from typing import Any, AnyStr, Literal, TypeVar

from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.ports import LOOPBACK, free_port
from tests.servers.pace import lasting
from tests.servers.waiting import eventually

T = TypeVar("T")
Drop = Literal["drop before the final dot", "drop after the final dot"]
BEFORE_DOT: Drop = "drop before the final dot"
AFTER_DOT: Drop = "drop after the final dot"
DRIP_EVERY_S = 1.0


@dataclass(frozen=True)
class ReceivedMail:
    """A mail whose final dot has arrived. `answer` is what was said to it; None where the connection was dropped instead."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    answer: str | None
    at: float

    @property
    def accepted(self) -> bool:
        return self.answer is not None and self.answer.startswith("250")

    @cached_property
    def message(self) -> EmailMessage:
        return BytesParser(EmailMessage, policy=default).parsebytes(self.content)


@dataclass
class Script:
    """What the server shall do next; without instructions it accepts everything."""

    to_data: deque[str | Drop] = field(default_factory=deque)
    to_recipient: dict[str, str] = field(default_factory=dict)
    late: deque[float] = field(default_factory=deque)
    dripping: int = 0
    received: list[ReceivedMail] = field(default_factory=list)
    connections: int = 0


class SmtpServer:
    """Listens on a free loopback port, in a thread of its own; every method may be called from any thread."""

    def __init__(self) -> None:
        self.port = free_port()
        self._script = Script()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp-server", daemon=True)
        self._answering = asyncio.Event()
        self._answering.set()
        self._sessions: set[ScriptedSmtp] = set()
        self._server: asyncio.Server | None = None
        self._thread.start()

    @property
    def received(self) -> list[ReceivedMail]:
        """Every mail that came whole, accepted or not."""
        return list(self._script.received)

    @property
    def mails(self) -> list[ReceivedMail]:
        """The mails that were accepted with 250."""
        return [mail for mail in self._script.received if mail.accepted]

    @property
    def connections(self) -> int:
        """How many connections were opened so far."""
        return self._script.connections

    def answer_data(self, answer: str, *, times: int = 1) -> None:
        """Says this to the next mails instead of 250: `answer_data("451 4.3.0 later", times=2)`."""
        self._script.to_data.extend([answer] * times)

    def drop_data(self, when: Drop, *, times: int = 1) -> None:
        """Drops the connection on the next mails. After the final dot the mail counts as received, but nothing was answered."""
        self._script.to_data.extend([when] * times)

    def answer_late(self, delay_s: float, *, times: int = 1) -> None:
        """Accepts the next mails, and says so only after this time."""
        self._script.late.extend([delay_s] * times)

    def drip(self, *, answers: int = 1) -> None:
        """The next answers, to whatever was asked, come one byte a second."""
        self._script.dripping += answers

    def behave(self) -> None:
        """Takes back whatever it was told to do."""
        script = self._script
        script.to_data.clear()
        script.late.clear()
        script.to_recipient.clear()
        script.dripping = 0
        self.resume()

    def refuse(self, recipient: str, answer: str = "550 5.1.1 no such mailbox") -> None:
        """Says this to every RCPT TO for the address."""
        self._script.to_recipient[recipient.casefold()] = answer

    def accept(self, recipient: str) -> None:
        """Takes back what `refuse` said."""
        self._script.to_recipient.pop(recipient.casefold(), None)

    async def wait_for(self, count: int, *, timeout_s: float = 20) -> list[ReceivedMail]:
        """The accepted mails, once there are so many."""
        await eventually(lambda: len(self.mails) >= count, timeout_s=timeout_s, what=f"mail number {count}")
        return self.mails

    def start(self) -> None:
        self._do(self._listen())

    def stop(self) -> None:
        """Listens no more and drops what is open."""
        self._do(self._close())

    def kill(self) -> None:
        self.stop()

    def pause(self) -> None:
        """Takes connections and says nothing on them, not even the greeting, until `resume`."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def resume(self) -> None:
        self._loop.call_soon_threadsafe(self._answering.set)

    def close(self) -> None:
        """Ends the thread too; for the fixture."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await self._loop.create_server(self._session, LOOPBACK, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for session in list(self._sessions):
            session.drop()
        self._sessions.clear()

    def _session(self) -> "ScriptedSmtp":
        self._script.connections += 1
        session = ScriptedSmtp(self._script, self._answering, self._loop)
        self._sessions.add(session)
        return session


class ScriptedSmtp(SMTP):
    """One connection. aiosmtpd does the protocol; the script interferes."""

    def __init__(self, script: Script, answering: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        self._script, self._answering = script, answering
        super().__init__(ScriptedAnswers(script), hostname="test.localhost", enable_SMTPUTF8=True, loop=loop)

    async def push(self, status: AnyStr) -> None:
        await self._answering.wait()
        if self._script.dripping > 0:
            self._script.dripping -= 1
            await self._drip(status)
        else:
            await super().push(status)

    async def _drip(self, status: str | bytes) -> None:
        line = status.encode() if isinstance(status, str) else status
        for byte in line + b"\r\n":
            await lasting(DRIP_EVERY_S)
            self._writer.write(bytes([byte]))
            await self._writer.drain()

    def drop(self) -> None:
        """Ends the connection without a word (a reset, not a close in good order)."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if self._script.to_data and self._script.to_data[0] == BEFORE_DOT:
            self._script.to_data.popleft()
            await self.push("354 go on")
            await self._reader.readline()
            self.drop()
            return
        await super().smtp_DATA(arg)


class ScriptedAnswers:
    """What is said to recipients and to mails."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: ScriptedSmtp, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        refusal = self._script.to_recipient.get(address.casefold())
        if refusal is not None:
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: ScriptedSmtp, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        late_s = self._script.late.popleft() if self._script.late else 0.0
        told = self._script.to_data.popleft() if self._script.to_data and not late_s else "250 2.0.0 OK"
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        self._script.received.append(
            ReceivedMail(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=content,
                answer=None if told == AFTER_DOT else told,
                at=time.monotonic(),
            )
        )
        if told == AFTER_DOT:
            server.drop()
        if late_s:
            await lasting(late_s)
        return told
