"""A finished mail's head, read again and held against what was to be in it: pure, strict, and without the code that wrote it.

The e-mail package of the standard library is not asked: on some patch levels its parser puts blanks between encoded words of a name, and
it takes addresses in UTF-8 apart.
"""

import base64
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from services.notifier.headers import MAX_LINE_OCTETS, NEVER_FOLDED, Header, Mailbox

BODY_HEADERS: Final = ("MIME-Version", "Content-Type")
KNOWN_HEADERS: Final = frozenset(
    {"From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted"}
    | {"X-Auto-Response-Suppress", "List-Unsubscribe", "List-Unsubscribe-Post", *BODY_HEADERS}
)

_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
_HEADER: Final = re.compile("([A-Za-z-]+):(.*)")
_ENCODED_WORD: Final = re.compile(r"=\?utf-8\?([qQbB])\?([!->@-~]*)\?=")
_ENCODED_WORDS: Final = re.compile(rf"{_ENCODED_WORD.pattern}(?: {_ENCODED_WORD.pattern})*")
_WORD: Final = re.compile(r""" *(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+))(?= |$)""")
_ADDRESS: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)+"|[^\s"<>()\[\],;:\\@]+)@[A-Za-z0-9.-]+""")
_NAMED: Final = re.compile(rf"(.*) <({_ADDRESS.pattern})>")


class NotAsGivenError(Exception):
    """A finished mail does not say what it was to say: a defect of ours. Names the header, never its value."""


def require_as_given(content: bytes, headers: Sequence[Header]) -> None:
    """Raises NotAsGivenError unless exactly these headers stand in the mail, each once and read back as the value that was given."""
    found = _headers(content)
    if [name for name, _ in found] != [*(name for name, _ in headers), *BODY_HEADERS]:
        raise NotAsGivenError("the headers are not those that were given")
    for (name, given), (_, written) in zip(headers, found, strict=False):
        read = _mailbox(name, written) if isinstance(given, Mailbox) else _text(name, written)
        if read != given:
            raise NotAsGivenError(f"{name} is not read as it was given")


def require_addressed(content: bytes, *, to: str) -> None:
    """Raises NotAsGivenError unless the mail is to this one mailbox, from one, and has no header twice and none that we do not write."""
    found = _headers(content)
    values = dict(found)
    if len(values) != len(found) or not {"To", "From"} <= values.keys() <= KNOWN_HEADERS:
        raise NotAsGivenError("a header is missing, there twice, or none of ours")
    boxes = {name: _mailbox(name, values[name]) for name in ("From", "To", "Reply-To") if name in values}
    if boxes["To"].address != to:
        raise NotAsGivenError("To is not the envelope's recipient")


def _headers(content: bytes) -> list[tuple[str, str]]:
    """Names and unfolded values, from the bytes."""
    head, end, _ = content.partition(b"\r\n\r\n")
    if not end:
        raise NotAsGivenError("the head has no end")
    headers: list[list[str]] = []
    for octets in head.split(b"\r\n"):
        line = _line(octets)
        header = _HEADER.fullmatch(line)
        if header is not None:
            headers.append([header[1], header[2]])
        elif headers and line.startswith(" ") and line.strip(" "):
            headers[-1][1] += line
        else:
            raise NotAsGivenError("a line of the head is no header")
    return [(name, value) for name, value in headers]


def _line(octets: bytes) -> str:
    try:
        line = octets.decode()
    except UnicodeDecodeError:
        raise NotAsGivenError("a line of the head is not UTF-8") from None
    if len(octets) > MAX_LINE_OCTETS or _CONTROL.search(line):
        raise NotAsGivenError("a line of the head is too long, or has a control character or a bare line end")
    return line


def _text(name: str, written: str) -> str:
    value = written.removeprefix(" ")
    if name in NEVER_FOLDED:
        return value
    if _ENCODED_WORDS.fullmatch(value):
        return _decoded(name, value)
    if "=?" in value:
        raise NotAsGivenError(f"{name} has an encoded word among others")
    return value


@lru_cache(maxsize=2_048)
def _mailbox(name: str, written: str) -> Mailbox:
    """The one mailbox in it. Raises NotAsGivenError where there is none, or anything else beside it."""
    value = written.strip(" ")
    if _ADDRESS.fullmatch(value):
        return Mailbox("", value)
    found = _NAMED.fullmatch(value)
    if found is None:
        raise NotAsGivenError(f"{name} is not one mailbox")
    return Mailbox(_phrase(name, found[1]), found[2])


def _phrase(name: str, written: str) -> str:
    """Words, quoted strings and encoded words as one text; between two encoded words there is nothing (RFC 2047, 6.2)."""
    said, place, was_encoded = "", 0, True
    while place < len(written):
        word = _WORD.match(written, place)
        if word is None:
            raise NotAsGivenError(f"{name} has no display name")
        quoted, atom = word.groups()
        is_encoded = atom is not None and _ENCODED_WORD.fullmatch(atom) is not None
        if (atom if quoted is None else quoted).find("=?") >= 0 and not is_encoded:
            raise NotAsGivenError(f"{name} has what looks like an encoded word where none may stand")
        said += "" if place == 0 or (is_encoded and was_encoded) else " "
        said += _decoded(name, atom) if is_encoded else re.sub(r"\\(.)", r"\1", quoted) if atom is None else atom
        place, was_encoded = word.end(), is_encoded
    return said


def _decoded(name: str, words: str) -> str:
    """Each word must be whole characters, so it is decoded by itself."""
    try:
        return "".join(_word(encoding.lower(), text) for encoding, text in _ENCODED_WORD.findall(words))
    except ValueError:
        raise NotAsGivenError(f"{name} has a broken encoded word") from None


def _word(encoding: str, text: str) -> str:
    if encoding == "b":
        return base64.b64decode(text, validate=True).decode()
    octets = re.sub(rb"=([0-9A-F]{2})", lambda code: bytes.fromhex(code[1].decode()), text.replace("_", " ").encode())
    return octets.decode()
