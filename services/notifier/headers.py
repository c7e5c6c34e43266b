"""Headers of a mail, written and folded here: pure.

Nothing is handed to Python's e-mail package: it decodes encoded words in what it is given, and folds quoted names wrongly, differently
by patch level. What was written is read again in finished.py.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from shared import addresses

# RFC 5322, 2.1.1 asks for 78; a line with an encoded word may have 76 (RFC 2047, 2).
WANTED_LINE_OCTETS: Final = 76
MAX_LINE_OCTETS: Final = 998
# Of an encoded word, which may have 75 (RFC 2047, 2): so the first one has room behind the name of its header.
MAX_ENCODED_WORD_CHARACTERS: Final = 64
# Where folding or an encoded word would break what machines read.
NEVER_FOLDED: Final = frozenset({"Message-ID", "In-Reply-To", "References", "List-Unsubscribe"})

NOT_ONE_LINE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_NAME: Final = re.compile("[A-Za-z0-9]+(?:[ _-][A-Za-z0-9]+)*")
# A line is only broken where one blank stands alone, so that no reader can make more or fewer of it.
_BREAK: Final = re.compile("(?<=[^ ]) (?=[^ ])")
# What stands for itself in an encoded word of a display name (RFC 2047, 5 (3)).
_Q_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")

# A blank takes one character too: it is written as _.
_Q_ONE: Final = _Q_PLAIN | {0x20}
_ROOM_CHARACTERS: Final = MAX_ENCODED_WORD_CHARACTERS - len("=?utf-8?q??=")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, which may be empty, and an address in the form in which it is sent (`addresses.sendable`)."""

    name: str
    address: str


Header = tuple[str, str | Mailbox]


def mailbox(name: str, address: str) -> Mailbox:
    """A name and an address for a header. Raises AddressError where no mail can be sent to the address."""
    return Mailbox(name, addresses.sendable(address))


def mailbox_in_setting(written: str) -> Mailbox:
    """`shop@example.com`, or `The Shop <shop@example.com>`. Raises ValueError."""
    return mailbox(*addresses.name_and_address(written))


def header(name: str, value: str | Mailbox) -> str:
    """The header's lines, each with its end. Raises ValueError where the value is not one line, or cannot stand there."""
    if isinstance(value, Mailbox):
        return _mailbox_header(name, value)
    if NOT_ONE_LINE.search(value):
        raise ValueError(f"the header {name} must be one line")
    line = f"{name}: {value}"
    if name in NEVER_FOLDED or (len(line) <= WANTED_LINE_OCTETS and _is_plain(value)):
        return f"{line}\r\n"
    folded = _folded(f"{name}:", value) if _is_plain(value) else None
    if folded is None or max(map(len, folded.split("\r\n"))) > MAX_LINE_OCTETS:
        folded = _folded(f"{name}:", " ".join(_encoded_words(value)))
    return folded


@lru_cache(maxsize=2_048)
def _mailbox_header(name: str, value: Mailbox) -> str:
    """The same few people are written to again and again."""
    if NOT_ONE_LINE.search(value.name):
        raise ValueError(f"the name in {name} must be one line")
    if not value.name:
        return f"{name}: {value.address}\r\n"
    return _folded(f"{name}:", _phrase(value.name), f"<{value.address}>")


def _phrase(name: str) -> str:
    """A display name as words, as a quoted string, or as encoded words: whatever it looks like, it is only a name."""
    if _PLAIN_NAME.fullmatch(name):
        return name
    if name.isascii() and "=?" not in name:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return " ".join(_encoded_words(name))


def _is_plain(value: str) -> bool:
    return value.isascii() and "=?" not in value and value == value.strip(" ")


def _folded(head: str, text: str, *rest: str) -> str:
    """Head, text and what must not be broken, in lines of at most 76 octets as far as there are blanks to break at."""
    words: list[str] = _BREAK.split(text)
    lines = [f"{head} {words[0]}"]
    for word in (*words[1:], *rest):
        if len(f"{lines[-1]} {word}".encode()) <= WANTED_LINE_OCTETS:
            lines[-1] += f" {word}"
        else:
            lines.append(f" {word}")
    return "".join(f"{line}\r\n" for line in lines)


def _encoded_words(value: str) -> Iterator[str]:
    """The value as encoded words (RFC 2047), each of whole characters, in the shorter of the two encodings."""
    octets = value.encode()
    as_q = sum(1 if octet in _Q_ONE else 3 for octet in octets) <= len(octets) * 4 / 3
    room = _ROOM_CHARACTERS if as_q else _ROOM_CHARACTERS // 4 * 3
    word, taken = "", 0
    for character in value:
        takes = sum(1 if octet in _Q_ONE else 3 for octet in character.encode()) if as_q else len(character.encode())
        if taken + takes > room:
            yield _encoded_word(word, as_q=as_q)
            word, taken = "", 0
        word, taken = word + character, taken + takes
    yield _encoded_word(word, as_q=as_q)


def _encoded_word(text: str, *, as_q: bool) -> str:
    return f"=?utf-8?q?{_q(text)}?=" if as_q else f"=?utf-8?b?{base64.b64encode(text.encode()).decode('ascii')}?="


def _q(text: str) -> str:
    return "".join(chr(byte) if byte in _Q_PLAIN else "_" if byte == 0x20 else f"={byte:02X}" for byte in text.encode())
