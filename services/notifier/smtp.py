"""One conversation with the SMTP server, and what every answer means."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from typing import Final, Literal

import aiosmtplib
from pydantic import SecretStr

from services.notifier.outcomes import Broken, Refused, ServerAway, SmtpError, Unknown

CLOSING: Final = 421
QUIT_LIMIT_S: Final = 1.0
MAX_REPLY_CHARACTERS: Final = 300
NO_SUCH_ADDRESS: Final = 553
# RFC 4954: authentication required, mechanism too weak, encryption required, credentials invalid. Ours to repair, not the mail's.
AUTHENTICATION_CODES: Final = frozenset({530, 534, 535, 538})

_PLAIN = re.compile(r"[^\s<>\x00-\x1f\x7f@]+@[^\s<>\x00-\x1f\x7f@]+")
_ADDRESS = re.compile(r"\S+@\S+")


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
            raise SmtpError(ServerAway(f"{error.code} {without_addresses(error.message)}")) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise SmtpError(ServerAway(f"{type(error).__name__} {without_addresses(str(error))}")) from None
        except BaseException:
            client.close()
            raise
        return Connection(client)

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


class Connection:
    """One connection, for one mail after another. After anything irregular it is dropped: what it says next may answer what was asked before."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self._client = client
        self._dropped = False
        self.mails = 0
        self.used_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        return not self._dropped and self._client.is_connected

    async def offer(self, envelope: Envelope) -> None:
        """MAIL and RCPT. Raises SmtpError (Refused, Broken, ServerAway)."""
        try:
            options, encoding = self._mail_options(envelope)
            await self._client.mail(envelope.sender, options=options, encoding=encoding)
            await self._client.rcpt(envelope.recipient, encoding=encoding)
        except aiosmtplib.SMTPResponseException as error:
            await self._after_refusal(error.code)
            raise SmtpError(refusal(error.code, error.message)) from None
        except (ValueError, aiosmtplib.SMTPNotSupported):
            await self.reset()
            raise SmtpError(Refused(NO_SUCH_ADDRESS, "the address cannot be said to this server")) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self.drop()
            raise SmtpError(Broken(type(error).__name__)) from None
        except BaseException:
            self.drop()
            raise

    def _mail_options(self, envelope: Envelope) -> tuple[list[str], str]:
        """Raises ValueError for an address out of which the library would quietly make another one."""
        if not (_PLAIN.fullmatch(envelope.sender) and _PLAIN.fullmatch(envelope.recipient)):
            raise ValueError("not an address")
        size = [f"SIZE={envelope.size_bytes}"] if self._client.supports_extension("size") else []
        if not envelope.needs_utf8:
            return size, "ascii"
        if not self._client.supports_extension("smtputf8"):
            raise aiosmtplib.SMTPNotSupported("SMTPUTF8")
        return [*size, "SMTPUTF8", "BODY=8BITMIME"], "utf-8"

    async def transmit(self, content: bytes, *, limit_s: float) -> str:
        """DATA, after `offer`: what the server said when it accepted. Raises SmtpError (Refused, Unknown)."""
        self.mails += 1
        try:
            response = await self._client.data(content, timeout=limit_s)
        except aiosmtplib.SMTPResponseException as error:
            await self._after_refusal(error.code)
            raise SmtpError(refused_content(error.code, error.message)) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            self.drop()
            raise SmtpError(Unknown(type(error).__name__)) from None
        except BaseException:
            self.drop()
            raise
        return without_addresses(f"{response.code} {response.message}")

    async def reset(self) -> None:
        """Takes back an offered mail, so that the connection can carry another."""
        try:
            await self._client.rset()
        except (aiosmtplib.SMTPException, OSError):
            self.drop()
        except BaseException:
            self.drop()
            raise

    async def _after_refusal(self, code: int) -> None:
        """421 announces that the server hangs up, which the library does not act on; other than 4xx and 5xx is out of step."""
        if code == CLOSING or not _says_no(code):
            self.drop()
        else:
            await self.reset()

    def drop(self) -> None:
        self._dropped = True
        self._client.close()

    async def quit(self) -> None:
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with asyncio.timeout(QUIT_LIMIT_S):
                await self._client.quit()
        self.drop()


def refusal(code: int, text: str) -> Refused | ServerAway | Broken:
    """What an unexpected answer to MAIL or RCPT means. Goes by the code: the library's classes say only which command it was."""
    if code in AUTHENTICATION_CODES:
        return ServerAway(f"{code} {without_addresses(text)}")
    if _says_no(code):
        return Refused(code, without_addresses(text))
    return Broken(f"unexpected answer {code}")


def refused_content(code: int, text: str) -> Refused | Unknown:
    """What an unexpected answer to DATA means: anything but a clear no leaves the outcome unknown."""
    return Refused(code, without_addresses(text)) if _says_no(code) else Unknown(f"unexpected answer {code}")


def _says_no(code: int) -> bool:
    return 400 <= code <= 599


def without_addresses(text: str) -> str:
    """A server's answer as it may stand in logs and in the ledger: one short line, addresses taken out."""
    return _ADDRESS.sub("(address)", " ".join(text.split()))[:MAX_REPLY_CHARACTERS]
