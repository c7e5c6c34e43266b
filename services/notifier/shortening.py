"""How much of what was written stands in one mail: pure. Mail programs cut what is long (Gmail over 102 kB), and with it what stands at the end.

What is counted are the bytes as they are sent, in both parts and quoted-printable: one emoji may take 24 of them.
"""

import binascii
import itertools
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
    if len(text) * MAX_BYTES_A_CHARACTER <= allowed or _cost(text, as_html) <= allowed:
        return Shown(text)
    fits, too_long = 0, min(len(text), allowed)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if _cost(text[:middle], as_html) <= allowed else (fits, middle)
    return Shown(_at_a_word(text, fits), is_cut=True)


def _at_a_word(text: str, at: int) -> str:
    """Ends at a blank where there is one near, and within no character that is made of several."""
    while at > 0 and (
        text[at] in "\u200d\ufe0f" or text[at - 1] == "\u200d" or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
    ):
        at -= 1
    kept = text[:at]
    blank = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:blank] if blank > at - 60 and blank > 0 else kept).rstrip() + " …"


def _cost(text: str, as_html: AsHtml) -> int:
    """In the plain part each line has two blanks before it."""
    return _quoted_bytes(as_html(text)) + _quoted_bytes(text.replace("\n", "\n  "))


def _quoted_bytes(text: str) -> int:
    return len(binascii.b2a_qp(text.replace("\n", "\r\n").encode()))
