"""One conversation with the SMTP server, and what every answer means."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import aiosmtplib
from pydantic import SecretStr

from services.notifier.outcomes import Broken, Refused, ServerAway, SmtpError, Unknown
from services.notifier.wire import Reply, Wire
from shared.addresses import sendable

CLOSING: Final = 421
# Bad sequence of commands: what was said on the connection before is to blame, and no mail.
OUT_OF_STEP: Final = 503
ACCEPTED: Final = 250
GO_ON: Final = 354
# OK, and: not local, will be forwarded (RFC 5321, 4.2.3).
TAKEN: Final = frozenset({ACCEPTED, 251})
EXTENSIONS: Final = ("size", "smtputf8", "pipelining")
QUIT_LIMIT_S: Final = 1.0
MAX_REPLY_CHARACTERS: Final = 300
NO_SUCH_ADDRESS: Final = 553
# RFC 4954: authentication required, mechanism too weak, encryption required, credentials invalid. Ours to repair, not the mail's.
AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom the mail is from and to, and how large it is; a non-ASCII address needs a server with SMTPUTF8."""

    sender: str
    recipient: str
    size_bytes: int

    @property
    def needs_utf8(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server is and how to speak to it. `limit_s` bounds connecting as a whole, and then each command but DATA."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None
    local_hostname: str = "localhost"
    limit_s: float = 20.0

    async def connect(self) -> "Connection":
        """A fresh connection, greeted and signed in. Raises SmtpError (ServerAway)."""
        client = self._client()
        try:
            async with asyncio.timeout(self.limit_s):
                await client.connect()
                await _greet(client)
        except aiosmtplib.SMTPResponseException as error:
            client.close()
            away = ServerAway(f"{error.code} {without_addresses(error.message)}", answered=True)
            raise SmtpError(away) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise SmtpError(ServerAway(f"{type(error).__name__} {without_addresses(str(error))}")) from None
        except BaseException:
            client.close()
            raise
        return _handed_over(client, limit_s=self.limit_s)

    def _client(self) -> aiosmtplib.SMTP:
        """The library's own defaults would look this host's name up in DNS, and upgrade to TLS only where that is offered."""
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password.get_secret_value() if self.password else None,
            local_hostname=self.local_hostname,
            timeout=self.limit_s,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            validate_certs=True,
        )


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, so that the extensions are known before the first mail; HELO for a server that knows only that."""
    if not client.is_ehlo_or_helo_needed:
        return
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()


def _handed_over(client: aiosmtplib.SMTP, *, limit_s: float) -> "Connection":
    """Raises SmtpError (ServerAway) where the server has hung up already."""
    if client.transport is None:
        raise SmtpError(ServerAway("the server hung up"))
    extensions = frozenset(name for name in EXTENSIONS if client.supports_extension(name))
    return Connection(Wire(client.transport), extensions, limit_s=limit_s)


class Connection:
    """One connection, for one mail after another. After anything irregular it is dropped: what it says next may answer what was asked before."""

    def __init__(self, wire: Wire, extensions: frozenset[str], *, limit_s: float) -> None:
        self._wire, self._extensions, self._limit_s = wire, extensions, limit_s
        self.mails = 0
        self.used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        return self._wire.is_open

    async def offer(self, envelope: Envelope) -> None:
        """MAIL and RCPT. Raises SmtpError (Refused, Broken, ServerAway)."""
        try:
            commands = self._commands(envelope)
        except ValueError:
            raise SmtpError(Refused(NO_SUCH_ADDRESS, "the address cannot be said to this server")) from None
        pipelines = "pipelining" in self._extensions
        try:
            for together in [b"".join(commands)] if pipelines else commands:
                replies = await self._wire.ask(together, replies=together.count(b"\r\n"), limit_s=self._limit_s)
                await self._require_taken(replies)
        except OSError as error:
            self.drop()
            raise SmtpError(Broken(type(error).__name__)) from None
        except asyncio.CancelledError:
            self.drop()
            raise

    async def _require_taken(self, replies: Sequence[Reply]) -> None:
        """Raises SmtpError for the first reply that is none of the expected ones."""
        for reply in replies:
            if reply.code not in TAKEN:
                await self._after_refusal(reply.code)
                raise SmtpError(refusal(reply.code, reply.text))

    def _commands(self, envelope: Envelope) -> list[bytes]:
        """Raises ValueError for what is no address, or needs SMTPUTF8 where the server does not have it."""
        for address in (envelope.sender, envelope.recipient):
            if sendable(address) != address:
                raise ValueError("not an address as it is sent")
        options = f" SIZE={envelope.size_bytes}" if "size" in self._extensions else ""
        if envelope.needs_utf8:
            if "smtputf8" not in self._extensions:
                raise ValueError("no SMTPUTF8")
            options += " SMTPUTF8 BODY=8BITMIME"
        mail, rcpt = f"MAIL FROM:<{envelope.sender}>{options}\r\n", f"RCPT TO:<{envelope.recipient}>\r\n"
        return [mail.encode(), rcpt.encode()]

    async def transmit(self, content: bytes, *, limit_s: float) -> str:
        """DATA, after `offer`: what the server said when it accepted. Raises SmtpError (Refused, Unknown)."""
        self.mails += 1
        try:
            (reply,) = await self._wire.ask(b"DATA\r\n", replies=1, limit_s=limit_s)
            if reply.code == GO_ON:
                (reply,) = await self._wire.ask(_stuffed(content), replies=1, limit_s=limit_s)
        except OSError as error:
            self.drop()
            raise SmtpError(Unknown(type(error).__name__)) from None
        except asyncio.CancelledError:
            self.drop()
            raise
        if reply.code != ACCEPTED:
            await self._after_refusal(reply.code)
            raise SmtpError(refused_content(reply.code, reply.text))
        return without_addresses(f"{reply.code} {reply.text}")

    async def reset(self) -> None:
        """Takes back an offered mail, so that the connection can carry another."""
        try:
            (reply,) = await self._wire.ask(b"RSET\r\n", replies=1, limit_s=self._limit_s)
        except OSError:
            self.drop()
        except asyncio.CancelledError:
            self.drop()
            raise
        else:
            if reply.code != ACCEPTED:
                self.drop()

    async def _after_refusal(self, code: int) -> None:
        """421 announces that the server hangs up; other than 4xx and 5xx is out of step."""
        if code in (CLOSING, OUT_OF_STEP) or not _says_no(code):
            self.drop()
        else:
            await self.reset()

    def drop(self) -> None:
        self._wire.close()

    async def quit(self) -> None:
        with contextlib.suppress(OSError):
            await self._wire.ask(b"QUIT\r\n", replies=1, limit_s=QUIT_LIMIT_S)
        self.drop()


def _stuffed(content: bytes) -> bytes:
    """The mail with its final dot; a line of its own that begins with one gets a second (RFC 5321, 4.5.2)."""
    stuffed = content.replace(b"\n.", b"\n..")
    return (
        (b"." if stuffed.startswith(b".") else b"")
        + stuffed
        + (b"" if stuffed.endswith(b"\r\n") else b"\r\n")
        + b".\r\n"
    )


def refusal(code: int, text: str) -> Refused | ServerAway | Broken:
    """What an unexpected answer to MAIL or RCPT means. Goes by the code: the library's classes say only which command it was."""
    if code in AUTHENTICATION_CODES:
        return ServerAway(f"{code} {without_addresses(text)}", answered=True)
    if _says_no(code) and code != OUT_OF_STEP:
        return Refused(code, without_addresses(text))
    return Broken(f"unexpected answer {code}")


def refused_content(code: int, text: str) -> Refused | Broken | Unknown:
    """What an unexpected answer to DATA means: anything but a clear no leaves the outcome unknown."""
    if code == OUT_OF_STEP:
        return Broken(f"unexpected answer {code}")
    return Refused(code, without_addresses(text)) if _says_no(code) else Unknown(f"unexpected answer {code}")


def _says_no(code: int) -> bool:
    return 400 <= code <= 599


def without_addresses(text: str) -> str:
    """A server's answer as it may stand in logs and in the ledger: one short line, addresses taken out."""
    words = ("(address)" if "@" in word else word for word in text.split())
    return " ".join(words)[:MAX_REPLY_CHARACTERS]
