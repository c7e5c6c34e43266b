"""How much of what was written stands in one mail: pure. Mail programs cut what is long (Gmail over 102 kB), and with it what stands at the end.

What is counted are the bytes as they are sent, in both parts and quoted-printable: one emoji may take 24 of them.
"""

import binascii
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_ENTRIES_SHOWN: Final = 20
"""What more there is, is counted."""
MAX_ENTRIES_BYTES: Final = 50_000
"""Of all entries together, with what stands around each; the rest of a mail is at most 45,000 more."""
ENTRY_BYTES: Final = 1_700
"""What stands around the text of an entry, in both parts, besides its author's name."""
MAX_BYTES_A_CHARACTER: Final = 30
"""No character takes more: a tab at a line's beginning becomes four blanks of six bytes, and four in the other part."""

NEAR_CHARACTERS: Final = 60
"""A text ends at a blank that is so near."""

_WORDS: Final = re.compile(r"\s+|\S+")

AsHtml = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A text as far as it is shown."""

    text: str | None
    is_cut: bool = False


def shortened(texts: Sequence[str | None], *, names: Sequence[str], as_html: AsHtml) -> list[Shown]:
    """The first of the texts, each as long as its share allows; what a short one leaves is for those after it."""
    around = [ENTRY_BYTES + 2 * _quoted_bytes(name) for name in names]
    count = _room_for(around)
    characters = sum(len(text or "") for text in texts[:count])
    if characters * MAX_BYTES_A_CHARACTER + sum(around[:count]) <= MAX_ENTRIES_BYTES:  # most mails, without a look
        return [Shown(text) for text in texts[:count]]
    shown = []
    left = MAX_ENTRIES_BYTES
    for number, (text, taken) in enumerate(zip(texts[:count], around, strict=False)):
        allowed = left // (count - number)
        each = Shown(None) if text is None else _cut(text, max(0, allowed - taken), as_html=as_html)
        left -= taken + (0 if each.text is None else _cost(each.text, as_html))
        shown.append(each)
    return shown


def _room_for(around: Sequence[int]) -> int:
    """How many entries are shown: as many as leave a quarter of the room, and more, to their texts."""
    sums = itertools.accumulate(around[:MAX_ENTRIES_SHOWN])
    return max(1, sum(taken <= MAX_ENTRIES_BYTES * 3 / 4 for taken in sums))


def _cut(text: str, allowed: int, *, as_html: AsHtml) -> Shown:
    """Line by line, so that each is written only once, however many there are: whoever sends thousands keeps nobody else's mails waiting."""
    if len(text) * MAX_BYTES_A_CHARACTER <= allowed:
        return Shown(text)
    left, place = allowed, 0
    for line in text.split("\n"):
        is_too_long = 2 * len(line) > left  # without a look at it
        taken = left + 1 if is_too_long else _line_bytes(line, as_html)
        if taken > left:
            return Shown(_at_a_word(text, place + _fitting(line, left, as_html)), is_cut=True)
        left -= taken
        place += len(line) + 1
    return Shown(text)


def _fitting(line: str, left: int, as_html: AsHtml) -> int:
    """How many characters of a line fit, word by word; a word that is too long itself is divided."""
    fits = 0
    for word in _WORDS.findall(line[: left // 2 + 1]):
        taken = _word_bytes(word, as_html)
        if taken > left:
            return fits + (_fitting_letters(word, left, as_html) if len(word) > NEAR_CHARACTERS else 0)
        left -= taken
        fits += len(word)
    return fits


def _fitting_letters(word: str, left: int, as_html: AsHtml) -> int:
    """Each letter takes two bytes or more."""
    fits, too_long = 0, min(len(word), max(1, left // 2))
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if _word_bytes(word[:middle], as_html) <= left else (fits, middle)
    return fits


def _at_a_word(text: str, at: int) -> str:
    """Ends at a blank where there is one near, within no character that is made of several, and within no web address: a part leads elsewhere."""
    while at > 0 and (
        text[at] in "\u200d\ufe0f" or text[at - 1] == "\u200d" or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
    ):
        at -= 1
    kept = text[:at]
    blank = max(kept.rfind(" "), kept.rfind("\n"))
    is_near = blank > at - NEAR_CHARACTERS or "://" in kept[blank + 1 :]
    return (kept[: max(blank, 0)] if is_near else kept).rstrip() + " …"


def _cost(text: str, as_html: AsHtml) -> int:
    return sum(_line_bytes(line, as_html) for line in text.split("\n"))


def _line_bytes(line: str, as_html: AsHtml) -> int:
    """In both parts, with the ends: `<br>` there, two blanks at the beginning here."""
    return _quoted_bytes(as_html(line)) + len("<br>\r\n") + _quoted_bytes(line) + len("  \r\n")


def _word_bytes(word: str, as_html: AsHtml) -> int:
    """In both parts; a line that is broken for the way has three bytes more."""
    taken = 2 * len(word) if word.isspace() else _quoted_bytes(as_html(word)) + _quoted_bytes(word)
    return taken + taken // 24


def _quoted_bytes(text: str) -> int:
    return len(binascii.b2a_qp(text.encode()))
