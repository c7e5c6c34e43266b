"""Command ids, pure: the same id for every retry under one key, and a MAC by which only its caller may ask about it."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid

CORE_BYTES = 16
CORE_CHARACTERS = 26
MAC_BYTES = 10
ID_CHARACTERS = 42


def uuid7() -> uuid.UUID:
    """A UUIDv7 (RFC 9562) with the fraction of the millisecond in its 12 bits after the version (section 6.2, method 3).

    Not from the package uuid6: that one counts its milliseconds up where several ids are made in one, so at more than a
    thousand a second it runs ahead of the clock.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = rest_ns * 4096 // 1_000_000
    number = milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62)
    return uuid.UUID(int=number)


class CommandIds:
    """Makes and checks ids of 42 characters: 16 bytes and the first 10 of their HMAC for this caller, in lower-case base32."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def new(self, caller_key: str) -> str:
        """An id that no other command has."""
        return self._with_mac(uuid7().bytes, caller_key)

    def for_key(self, caller_key: str, operation: str, order_id: str | None, key: str) -> str:
        """The id of whatever this caller asks under this Idempotency-Key; the same at every gateway.

        An id of the caller's own stands for itself: so a write without a key can be repeated under the id that it was given.
        """
        if self.belongs(key, caller_key):
            return key
        parts = json.dumps([caller_key, operation, order_id, key]).encode()
        return self._with_mac(hashlib.sha256(parts).digest()[:CORE_BYTES], caller_key)

    def belongs(self, command_id: str, caller_key: str) -> bool:
        """Whether this is an id that was made for this caller."""
        if len(command_id) != ID_CHARACTERS or not command_id.isascii():
            return False
        try:
            core = base64.b32decode(command_id[:CORE_CHARACTERS].upper() + "======")
        except ValueError:
            return False
        return hmac.compare_digest(self._with_mac(core, caller_key), command_id)

    def _with_mac(self, core: bytes, caller_key: str) -> str:
        mac = hmac.digest(self._secret, core + caller_key.encode(), "sha256")[:MAC_BYTES]
        return _base32(core) + _base32(mac)


def _base32(value: bytes) -> str:
    return base64.b32encode(value).decode().rstrip("=").lower()
