"""An e-mail's bytes from its headers and its two texts: pure.

Headers that are plain go straight into the message; whatever needs quoting, encoding or folding is left to Python's e-mail package, which
costs ten times as much as all the rest. Bodies are quoted-printable.
"""

import binascii
import re
from collections.abc import Iterable
from email.headerregistry import Address
from email.policy import SMTP, SMTPUTF8
from functools import lru_cache
from typing import Final

MAX_HEADER_LINE_CHARACTERS: Final = 78
MAX_KEPT_LINE_CHARACTERS: Final = 1_000
# Where folding or an encoded word would break what machines read. 998 octets is the longest line (RFC 5322, 2.1.1).
_NEVER_FOLDED: Final = frozenset({"Message-ID", "In-Reply-To", "References", "List-Unsubscribe"})
_PLAIN_NAME: Final = re.compile("[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*")
_PLAIN_ADDRESS: Final = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")

Header = tuple[str, str | Address]


def compose(headers: Iterable[Header], *, text: str, html: str, boundary: str, utf8: bool) -> bytes:
    """The message. With `utf8`, headers may hold UTF-8, and the server must have SMTPUTF8; else they are ASCII."""
    head = "".join(_utf8_header(*header) if utf8 else _header(*header) for header in headers)
    parts = [
        head.encode(),
        f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii"),
        _part("plain", text, boundary),
        _part("html", html, boundary),
        f"--{boundary}--\r\n".encode("ascii"),
    ]
    return b"".join(parts)


def envelope_address(address: str) -> str:
    """The address with its domain as DNS knows it."""
    if address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    return f"{local}@{_ascii_domain(domain)}"


def mailbox(name: str, address: str) -> Address:
    """A name and an address for a header. `name` must be one line."""
    local, _, domain = envelope_address(address).rpartition("@")
    return Address(display_name=name, username=local, domain=domain)


def _part(subtype: str, content: str, boundary: str) -> bytes:
    """One of the alternatives, quoted-printable: lines may be long and letters of any alphabet."""
    head = (
        f'--{boundary}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    lines = (_quoted(line) if len(line) <= MAX_KEPT_LINE_CHARACTERS else _quote(line) for line in content.split("\n"))
    return head.encode("ascii") + b"".join(lines)


def _quote(line: str) -> bytes:
    """With its end: from that the encoder takes what it breaks long lines with."""
    return binascii.b2a_qp(f"{line}\r\n".encode())


@lru_cache(maxsize=1_024)
def _quoted(line: str) -> bytes:
    """Most lines of a mail are the template's, and the same in each."""
    return _quote(line)


def _header(name: str, value: str | Address) -> str:
    if isinstance(value, Address):
        return _mailbox_header(name, value.display_name, value.addr_spec, utf8=False)
    line = f"{name}: {value}"
    is_plain = line.isascii() and line.isprintable() and "=?" not in line and len(line) <= MAX_HEADER_LINE_CHARACTERS
    return f"{line}\r\n" if is_plain or name in _NEVER_FOLDED else _folded(name, value, utf8=False)


def _utf8_header(name: str, value: str | Address) -> str:
    if isinstance(value, Address):
        return _mailbox_header(name, value.display_name, value.addr_spec, utf8=True)
    return f"{name}: {value}\r\n" if name in _NEVER_FOLDED else _folded(name, value, utf8=True)


@lru_cache(maxsize=2_048)
def _mailbox_header(name: str, display_name: str, address: str, *, utf8: bool) -> str:
    """The same few people are written to again and again."""
    line = f"{name}: {display_name} <{address}>"
    is_plain = _PLAIN_NAME.fullmatch(display_name) and _PLAIN_ADDRESS.fullmatch(address)
    if is_plain and len(line) <= MAX_HEADER_LINE_CHARACTERS:
        return f"{line}\r\n"
    local, _, domain = address.rpartition("@")
    value = Address(display_name=display_name, username=local, domain=domain)
    return _folded(name, value, utf8=utf8)


def _folded(name: str, value: str | Address, *, utf8: bool) -> str:
    policy = SMTPUTF8 if utf8 else SMTP
    return str(policy.fold(*policy.header_store_parse(name, value)))


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain
