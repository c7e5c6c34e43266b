"""The way to the SMTP server: a few kept connections, one mail at a time on each, and what every answer means."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from typing import Final, Literal

import aiosmtplib
import structlog
from pydantic import SecretStr

log = structlog.get_logger(__name__)

CLOSING: Final = 421
MAX_REPLY_CHARACTERS: Final = 300
# RFC 4954: authentication required, mechanism too weak, encryption required, credentials invalid. Ours to repair, not the mail's.
AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})

_ADDRESS = re.compile(r"\S+@\S+")


class ServerAway(Exception):
    """No mail can be sent for now: the server is not there, or does not let us in. No mail is to blame."""


class Refused(Exception):
    """The server has said no to this mail: it has certainly not been accepted. 4xx may be tried again, 5xx not."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text

    @property
    def is_final(self) -> bool:
        return self.code // 100 == 5  # noqa: PLR2004


class Broken(Exception):
    """The connection ended irregularly before DATA: the mail has certainly not been accepted."""


class Unknown(Exception):
    """DATA was begun and no clear answer came: the mail may or may not have been accepted."""


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
    """Where the server is and how to speak to it. `limit_s` bounds connecting and each command."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"] = "starttls"
    user: str | None = None
    password: SecretStr | None = None
    local_hostname: str = "localhost"
    limit_s: float = 20.0

    def client(self) -> aiosmtplib.SMTP:
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


def without_addresses(text: str) -> str:
    """A server's answer as it may stand in logs and in the ledger: one short line, addresses taken out."""
    return _ADDRESS.sub("(address)", " ".join(text.split()))[:MAX_REPLY_CHARACTERS]


def refusal(error: aiosmtplib.SMTPResponseException) -> Refused | ServerAway | Broken:
    """What an unexpected answer before the end of DATA means, by its code and not by its class."""
    text = without_addresses(error.message)
    if error.code in AUTHENTICATION_CODES:
        return ServerAway(f"{error.code} {text}")
    if error.code // 100 in (4, 5):
        return Refused(error.code, text)
    return Broken(f"unexpected answer {error.code} {text}")


class Connection:
    """One connection, for one mail after another. After anything irregular it is `spent` and must not be used again."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self.mails = 0
        self.spent = False
        self.used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        return not self.spent and self._client.is_connected

    async def offer(self, envelope: Envelope) -> None:
        """MAIL and RCPT. Raises Refused, Broken or ServerAway; after Refused the connection is good for another mail."""
        try:
            await self._mail_and_rcpt(envelope)
        except aiosmtplib.SMTPResponseException as error:
            meant = refusal(error)
            await self._after_refusal(error.code)
            raise meant from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self.drop()
            raise Broken(type(error).__name__) from None
        except BaseException:
            self.drop()
            raise

    async def _mail_and_rcpt(self, envelope: Envelope) -> None:
        encoding, options = "ascii", []
        if envelope.needs_utf8:
            if not self._client.supports_extension("smtputf8"):
                raise aiosmtplib.SMTPResponseException(553, "the server takes no non-ASCII addresses (SMTPUTF8)")
            encoding, options = "utf-8", ["SMTPUTF8", "BODY=8BITMIME"]
        if self._client.supports_extension("size"):
            options.append(f"SIZE={envelope.size_bytes}")
        try:
            await self._client.mail(envelope.sender, options=options, encoding=encoding)
            await self._client.rcpt(envelope.recipient, encoding=encoding)
        except ValueError:
            raise aiosmtplib.SMTPResponseException(553, "the address cannot stand in an SMTP command") from None

    async def transmit(self, content: bytes, *, limit_s: float) -> str:
        """DATA, to be called after `offer`. The server's answer once it has accepted. Raises Refused or Unknown, and after those of no use."""
        self.used_at = time.monotonic()
        self.mails += 1
        try:
            response = await self._client.data(content, timeout=limit_s)
        except aiosmtplib.SMTPResponseException as error:
            if error.code // 100 not in (4, 5):
                self.drop()
                raise Unknown(f"unexpected answer {error.code}") from None
            await self._after_refusal(error.code)
            raise Refused(error.code, without_addresses(error.message)) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self.drop()
            raise Unknown(type(error).__name__) from None
        except BaseException:
            # Cancelled while the answer was outstanding: the next command would read this one's answer.
            self.drop()
            raise
        return without_addresses(f"{response.code} {response.message}")

    async def reset(self) -> None:
        """Forgets an offered mail, so that the connection can take another."""
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self.drop()
        except BaseException:
            self.drop()
            raise

    async def _after_refusal(self, code: int) -> None:
        """421 announces that the server hangs up, which the library does not act on."""
        if code == CLOSING or code < 0:
            self.drop()
        else:
            await self.reset()

    def drop(self) -> None:
        self.spent = True
        self._client.close()

    async def quit(self) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._client.quit()
        self.drop()


class Connections:
    """The kept connections, newest used first; one that is too old, has carried enough mails, or has ended is not used again."""

    def __init__(self, server: Server, *, idle_s: float = 30.0, mails_per_connection: int = 100) -> None:
        self._server, self._idle_s, self._mails_per_connection = server, idle_s, mails_per_connection
        self._kept: list[Connection] = []

    async def offer(self, envelope: Envelope) -> Connection:
        """A connection on which the server has accepted sender and recipient; give it back with `give_back`, whatever happens.

        Raises ServerAway, Refused or Broken. A kept connection that the server has ended meanwhile is replaced, which is no failure.
        """
        while (kept := self._take_kept()) is not None:
            with contextlib.suppress(Broken):
                return await self._offered(kept, envelope, closing_is_broken=True)
        return await self._offered(await self._open(), envelope, closing_is_broken=False)

    async def _offered(self, connection: Connection, envelope: Envelope, *, closing_is_broken: bool) -> Connection:
        try:
            await connection.offer(envelope)
        except Refused as refused:
            self.give_back(connection)
            if closing_is_broken and refused.code == CLOSING:
                raise Broken("the server had closed the connection") from None
            raise
        except ServerAway:
            connection.drop()
            raise
        return connection

    async def _open(self) -> Connection:
        client = self._server.client()
        try:
            async with asyncio.timeout(self._server.limit_s):
                await client.connect()
                await _greet(client)
        except aiosmtplib.SMTPResponseException as error:
            client.close()
            raise ServerAway(f"{error.code} {without_addresses(error.message)}") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise ServerAway(f"{type(error).__name__}: {without_addresses(str(error))}") from None
        except BaseException:
            client.close()
            raise
        return Connection(client)

    def _take_kept(self) -> Connection | None:
        while self._kept:
            connection = self._kept.pop()
            if connection.is_open and time.monotonic() - connection.used_at <= self._idle_s:
                return connection
            connection.drop()
        return None

    def give_back(self, connection: Connection) -> None:
        connection.used_at = time.monotonic()
        if connection.is_open and connection.mails < self._mails_per_connection:
            self._kept.append(connection)
        else:
            connection.drop()

    async def close_idle(self) -> None:
        """Says goodbye on connections that nobody has used for a while."""
        now = time.monotonic()
        idle = [connection for connection in self._kept if now - connection.used_at > self._idle_s]
        self._kept = [connection for connection in self._kept if connection not in idle]
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def close(self) -> None:
        kept, self._kept = self._kept, []
        await asyncio.gather(*(connection.quit() for connection in kept))


async def _greet(client: aiosmtplib.SMTP) -> None:
    """EHLO, so that the extensions are known before the first mail; HELO for a server that knows only that."""
    if not client.is_ehlo_or_helo_needed:
        return
    try:
        await client.ehlo()
    except aiosmtplib.SMTPHeloError:
        await client.helo()
