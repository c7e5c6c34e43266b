"""Command ids, pure: the same id for every retry under one key, and a MAC by which only its caller may ask about it."""

import hashlib
import hmac
import secrets
import time
import uuid
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

CORE_BYTES = 16
CORE_CHARACTERS = 26
MAC_BYTES = 10
ID_CHARACTERS = 42
ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
# Two characters, ten bits, at a time: Python's own base32 takes four times as long, and every write makes an id.
PAIRS: Final = tuple(first + second for first in ALPHABET for second in ALPHABET)
VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}


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
        order = "null" if order_id is None else quoted(order_id)
        parts = f"[{quoted(caller_key)}, {quoted(operation)}, {order}, {quoted(key)}]".encode()
        return self._with_mac(hashlib.sha256(parts).digest()[:CORE_BYTES], caller_key)

    def belongs(self, command_id: str, caller_key: str) -> bool:
        """Whether this is an id that was made for this caller."""
        if len(command_id) != ID_CHARACTERS or not command_id.isascii():
            return False
        core = _core_of(command_id)
        if core is None:
            return False
        return hmac.compare_digest(self._with_mac(core, caller_key), command_id)

    def _with_mac(self, core: bytes, caller_key: str) -> str:
        mac = hmac.digest(self._secret, core + caller_key.encode(), "sha256")[:MAC_BYTES]
        return _written(core, mac)


def _written(core: bytes, mac: bytes) -> str:
    """Both in lower-case base32 (RFC 4648) without padding: 128 bits and two zeros, then 80 bits."""
    number = int.from_bytes(core, "big") << 82 | int.from_bytes(mac, "big")
    return "".join([PAIRS[number >> shift & 1023] for shift in range(200, -1, -10)])


def _core_of(command_id: str) -> bytes | None:
    """The 16 bytes that the first 26 characters say; None where they say none."""
    number = 0
    for character in command_id[:CORE_CHARACTERS]:
        value = VALUES.get(character)
        if value is None:
            return None
        number = number << 5 | value
    return (number >> 2).to_bytes(CORE_BYTES, "big")
