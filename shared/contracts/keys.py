"""Keys of stored documents: the one place that joins ids to keys and parses keys. Pure.

A key is its parts joined by `|`, of which only the last may hold a `|` itself (ids of persons may). In the shop `main` that is all, so
what was stored before there were shops keeps its key; another shop's key is `shop␟key`, with U+001F, which no id may contain.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import StringConstraints

SHOP_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,31}$"
MAIN_SHOP: Final = "main"
SHOP_SEPARATOR: Final = "\x1f"
PART_SEPARATOR: Final = "|"

ShopId = Annotated[str, StringConstraints(pattern=SHOP_ID_PATTERN)]

# As the pattern, but `$` of Python's also matches before a newline at the end.
_SHOP_ID: Final = re.compile(SHOP_ID_PATTERN[1:-1])


@dataclass(frozen=True, slots=True)
class Key:
    """A key taken apart: whose shop it is in, and its parts in their order."""

    shop_id: str
    parts: tuple[str, ...]


def join_key(*parts: str, shop_id: str = MAIN_SHOP) -> str:
    """The key of these parts in that shop. Different parts, or shops, never make the same key, as long as the number of parts is the same.

    Raises ValueError for what could not be parsed again: no part, a part with U+001F, a `|` before the last part, no shop id.
    """
    if not parts:
        raise ValueError("a key needs at least one part")
    if any(SHOP_SEPARATOR in part for part in parts):
        raise ValueError("no part of a key may contain U+001F")
    if any(PART_SEPARATOR in part for part in parts[:-1]):
        raise ValueError("only the last part of a key may contain '|'")
    key = PART_SEPARATOR.join(parts)
    return key if shop_id == MAIN_SHOP else f"{_checked(shop_id)}{SHOP_SEPARATOR}{key}"


def parse_key(key: str, *, parts: int) -> Key:
    """The key taken apart into so many parts. Raises ValueError where it is none of those that `join_key` makes of them."""
    shop_id, separator, joined = key.rpartition(SHOP_SEPARATOR)
    if separator and shop_id == MAIN_SHOP:
        raise ValueError("a key of the main shop does not name it")
    if separator:
        _checked(shop_id)
    split = tuple(joined.split(PART_SEPARATOR, parts - 1))
    if len(split) != parts:
        raise ValueError(f"a key of {parts} parts has {len(split)}")
    return Key(shop_id if separator else MAIN_SHOP, split)


def _checked(shop_id: str) -> str:
    if not _SHOP_ID.fullmatch(shop_id):
        raise ValueError("a shop id is 1 to 32 of a-z, 0-9 and '-', and does not begin with '-'")
    return shop_id
