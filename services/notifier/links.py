"""Addresses within what people wrote, as links in a mail's HTML: http and https alone, without the punctuation around them."""

import functools
import re
from typing import Final
from urllib.parse import urlsplit

from linkify_it import LinkifyIt
from markupsafe import Markup, escape

_FINDER: Final = LinkifyIt({}, {"fuzzy_link": False, "fuzzy_email": False, "fuzzy_ip": False})
for _schema in ("ftp:", "mailto:", "//"):
    _FINDER.add(_schema, None)

_LINK: Final = Markup('<a class="link" href="{0}" rel="noopener nofollow ugc">{1}</a>')
_BLANKS: Final = re.compile(r"(\s+)")
_QUOTES: Final = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a"
MAX_WORD_CHARACTERS: Final = 2_000
"""In a longer word none is looked for: how long that takes grows with the square of its length."""


def linked(text: str) -> Markup:
    """The text as HTML, escaped, with its addresses as links. Linear in the length of the text."""
    if "://" not in text:
        return escape(text)
    return Markup("").join(map(_linked_word, _BLANKS.split(text)))


@functools.lru_cache(maxsize=1_024)  # a long text is looked at again and again, to see how much of it fits into a mail
def _linked_word(word: str) -> Markup:
    if "://" not in word or len(word) > MAX_WORD_CHARACTERS:
        return escape(word)
    pieces, end = [], 0
    for match in _FINDER.match(word) or ():
        address = match.raw.rstrip(_QUOTES)
        if _names_its_reader(address):
            continue
        pieces += [escape(word[end : match.index]), _LINK.format(address, address)]
        end = match.index + len(address)
    return Markup("").join([*pieces, escape(word[end:])])


def _names_its_reader(url: str) -> bool:
    """`https://bank.example@evil.example/` leads to evil.example: such an address is left to the eye. One that cannot be read is, too."""
    try:
        return "@" in urlsplit(url).netloc
    except ValueError:
        return True
