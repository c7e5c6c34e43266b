"""How texts are compared in a search: by what they look like, not by how they are written.

Composed and decomposed letters, ligatures, full width and other compatibility forms (NFKC), upper and lower case (Unicode's full case
folding) and letters with and without diacritics are the same. Marks that are more than diacritics stay: the voicing of Japanese, the
vowels of Indic scripts. Both sides are folded when they are compared, so nothing of this is stored, and whatever an older release wrote
is found as well.
"""

import re
import unicodedata
from typing import Final

from shared.visible import INVISIBLE


def _as_ranges(code_points: list[int]) -> str:
    """The inside of a character class; a class of single characters beyond U+FFFF would be looked through one by one."""
    firsts = [each for each, before in zip(code_points, [-1, *code_points], strict=False) if each != before + 1]
    lasts = [each for each, behind in zip(code_points, [*code_points[1:], -1], strict=True) if each != behind - 1]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(firsts, lasts, strict=True))


# Combining marks of Latin, Greek and Cyrillic letters, the points of Hebrew and the vowel signs of Arabic: texts have them or leave them out.
_DIACRITICS: Final = "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff"
# Nor does it count what shows nothing: soft hyphens, joiners, direction marks. White space parts words, and stays.
_SHOWS_NOTHING: Final = [
    each for first, last in INVISIBLE for each in range(max(first, 0x80), last + 1) if not chr(each).isspace()
]
_LEFT_OUT: Final = re.compile(f"[{_DIACRITICS}{_as_ranges(_SHOWS_NOTHING)}]")
# Letters with a stroke and the like, which Unicode does not take apart, as people without them on their keyboard write them.
_ALIKE: Final = str.maketrans(
    {"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe", "ς": "σ"}
)


def fold(text: str) -> str:
    """The text as it is compared. What is folded twice is the same as what is folded once."""
    if text.isascii():
        return text.lower()
    # A compatibility form may hide a capital, and case folding may put letters together again.
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = _LEFT_OUT.sub("", apart)
    return bare if bare.isascii() else unicodedata.normalize("NFC", bare.translate(_ALIKE))
