"""Texts from people, made fit to stand in a mail: pure. Escaping for HTML is the templates' business, encoding the e-mail package's."""

import re
from typing import Final

MAX_SHOWN_CHARACTERS: Final = 100

# Controls other than newline and tab; lone surrogates, which have no encoding; and the noncharacters that XML parsers refuse.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Characters that turn the writing direction of all that follows: in a name, they would disguise what stands behind it.
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")


def text(value: str) -> str:
    """The text with `\\n` as its only line end, without control characters but tabs."""
    with_newlines = _LINE_ENDS.sub("\n", value)
    return _SURROGATES.sub("\ufffd", _UNFIT.sub("", with_newlines))


def one_line(value: str) -> str:
    """A name or title in one line: white space runs become one blank, direction marks go. Fit for a header."""
    return " ".join(_DIRECTION.sub("", text(value)).split())


def short(value: str, *, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """As `one_line`, and no longer than a mail has room for where many such names stand in it."""
    line = one_line(value)
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"
