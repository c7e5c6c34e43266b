"""Entity tags (RFC 9110, 8.8.3): read from `If-Match` and `If-None-Match`, made of an answer's bytes, compared. Pure."""

import base64
import hashlib
import re
from typing import Final

ANY: Final = "*"
MAX_CHARACTERS: Final = 1_000
DIGEST_BYTES: Final = 15

_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,(?:[ \t]*{_TAG})?)*[ \t]*")
_EACH: Final = re.compile(_TAG)


def of(body: bytes) -> str:
    """A strong tag: the same bytes have the same one, at every gateway."""
    return f'"{base64.urlsafe_b64encode(hashlib.blake2b(body, digest_size=DIGEST_BYTES).digest()).decode()}"'


def read(value: str) -> list[str] | None:
    """The tags of a header's value, or `["*"]`; None where it is neither. Several lines of one header are joined by commas before."""
    if value.strip(" \t") == ANY:
        return [ANY]
    return _EACH.findall(value) if len(value) <= MAX_CHARACTERS and _LIST.fullmatch(value) else None


def match_strongly(value: str, etag: str) -> bool:
    """Whether `If-Match` holds for what stands: one of its tags is the very same, and none of the two is weak (RFC 9110, 13.1.1)."""
    return ANY in (tags := read(value) or []) or (etag in tags and not etag.startswith("W/"))


def match_weakly(value: str, etag: str) -> bool:
    """Whether `If-None-Match` names what stands, be it that a proxy has made the tag weak (RFC 9110, 13.1.2)."""
    tags = read(value) or []
    return ANY in tags or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}
