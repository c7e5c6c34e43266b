"""Which characters show nothing. A text or name of nothing else is refused, because nobody can read it.

One table for services and pages: `make docs` writes it for the pages (services/gateway/pages/invisible.js). It is made of the properties
White_Space (PropList.txt), Default_Ignorable_Code_Point (DerivedCoreProperties.txt, which names the code points to come as well) and of
the general category Cc, as Unicode 17.0 has them; and of characters that are blank, or no more than marks for software, though no
property says so: BRAILLE PATTERN BLANK, the interlinear annotation characters and MUSICAL SYMBOL NULL NOTEHEAD. The fillers of Hangul
are among the ignorable ones.
"""

import re
from typing import Final

INVISIBLE: Final = (
    (0x0000, 0x0020),
    (0x007F, 0x00A0),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x1680, 0x1680),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)
"""The first and the last code point of each range, in order."""


def character_class(*, up_to: int = 0x10FFFF) -> str:
    """The inside of a class `[…]` for regular expressions of Python and of ECMA-262 with `u`; up to U+FFFF for ECMA-262 without it too.

    JSON Schema asks for `u`, but some tools compile its patterns without: to them a range beyond U+FFFF is out of order.
    """
    ranges = [(first, last) for first, last in INVISIBLE if last <= up_to]
    return "".join(
        _escaped(first) if first == last else f"{_escaped(first)}-{_escaped(last)}" for first, last in ranges
    )


def _escaped(code_point: int) -> str:
    """Beyond U+FFFF the two have no escape in common: there it is the character itself."""
    return f"\\u{code_point:04x}" if code_point <= 0xFFFF else chr(code_point)


_SHOWN: Final = re.compile(f"[^{character_class()}]")


def shows(text: str) -> bool:
    """Whether anything of it can be seen."""
    return _SHOWN.search(text) is not None
