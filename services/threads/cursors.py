"""Cursors of lists: opaque to callers, bound to one list of one inbox, and refused where anybody changed them."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final

from shared.errors import FieldError, ProblemError, refuse

VERSION: Final = 1
MAC_BYTES: Final = 16
FINGERPRINT_CHARACTERS: Final = 22
MAX_CHARACTERS: Final = 512
PURPOSE: Final = b"parley list cursor"


class Cursors:
    """Writes and reads cursors: base64url of a MAC and the JSON `[version, fingerprint of the list, position]`."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), PURPOSE, "sha256")

    def write(self, identity: str, position: str) -> str:
        """A cursor behind `position` in the list that `identity` names: whose inbox, filter, sort and search."""
        payload = json.dumps([VERSION, fingerprint(identity), position], separators=(",", ":")).encode()
        return _encode(self._mac(payload) + payload)

    def read(self, cursor: str, identity: str) -> str:
        """The position. Raises invalid_request for a cursor that is not ours, was changed, or belongs to another list."""
        if len(cursor) > MAX_CHARACTERS:
            raise bad_cursor("is too long to be a cursor of ours")
        content = _decode(cursor)
        mac, payload = content[:MAC_BYTES], content[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise bad_cursor("is not a cursor of ours, or was changed")
        version, whose, position = json.loads(payload)
        if version != VERSION or whose != fingerprint(identity):
            raise bad_cursor("belongs to another list, filter, sort or search")
        return str(position)

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:MAC_BYTES]


def fingerprint(identity: str) -> str:
    return _encode(hashlib.sha256(identity.encode()).digest())[:FINGERPRINT_CHARACTERS]


def bad_cursor(why: str) -> ProblemError:
    detail = "The cursor cannot be used here. Start again without one, and follow `next` as it is."
    return refuse("invalid_request", detail, errors=[FieldError(field="cursor", message=why)])


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(cursor: str) -> bytes:
    """Only the one spelling that `_encode` gives: base64 has several for the same bytes, and a changed cursor must not pass."""
    try:
        content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (binascii.Error, ValueError):
        raise bad_cursor("is not a cursor of ours") from None
    if _encode(content) != cursor:
        raise bad_cursor("is not a cursor of ours")
    return content
