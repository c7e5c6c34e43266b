"""An e-mail's bytes from its headers and its two texts: pure. Bodies are quoted-printable."""

import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from services.notifier import finished
from services.notifier.headers import Header, header

MAX_KEPT_LINE_CHARACTERS: Final = 1_000


def compose(headers: Sequence[Header], *, text: str, html: str, boundary: str) -> bytes:
    """The message; its head is ASCII but for an address that is not.

    Raises ValueError for a header that is not one line, and NotAsGivenError where it is not read as it was given.
    """
    head = "".join(header(*each) for each in headers)
    parts = [
        head.encode(),
        f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n\r\n'.encode("ascii"),
        _part("plain", text, boundary),
        _part("html", html, boundary),
        f"--{boundary}--\r\n".encode("ascii"),
    ]
    content = b"".join(parts)
    finished.require_as_given(content, headers)
    return content


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
