"""Properties of AMQP messages as other libraries, mistaken or hostile publishers write them, in bytes; RabbitMQ forwards all of these."""

import struct
from typing import Final

from tests.servers.amqp_frames import long_text, short_text

HEADERS, DELIVERY_MODE, PRIORITY, CORRELATION_ID, REPLY_TO = 1 << 13, 1 << 12, 1 << 11, 1 << 10, 1 << 9
EXPIRATION, MESSAGE_ID, TIMESTAMP, TYPE, USER_ID, APP_ID = 1 << 8, 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 3
CONTENT_TYPE, CONTENT_ENCODING = 1 << 15, 1 << 14
MICROSECONDS: Final = 1_795_865_406_000_000


def properties(user: str, given: dict[int, bytes] | None = None) -> bytes:
    """Flags and values, in the order of AMQP 0-9-1; the user as RabbitMQ demands it."""
    values = {MESSAGE_ID: short_text(b"m-1"), USER_ID: short_text(user.encode()), **(given or {})}
    return struct.pack(">H", sum(values)) + b"".join(values[flag] for flag in sorted(values, reverse=True))


def _table(entries: bytes) -> dict[int, bytes]:
    return {HEADERS: long_text(entries)}


def _nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        table = short_text(b"a") + b"F" + long_text(table)
    return table


UNDECODABLE: Final[dict[str, dict[int, bytes]]] = {
    "a timestamp in microseconds": {TIMESTAMP: struct.pack(">Q", MICROSECONDS)},
    "the largest timestamp": {TIMESTAMP: struct.pack(">Q", 2**64 - 1)},
    "a header of the largest timestamp": _table(short_text(b"h") + b"T" + struct.pack(">Q", 2**64 - 1)),
    "a header whose name is not UTF-8": _table(short_text(b"\xff\xfe") + b"I" + struct.pack(">i", 1)),
    "tables nested 500 deep": _table(_nested(500)),
    "tables nested 3,000 deep": _table(_nested(3_000)),
}
# Strange, and harmless: they are decoded, or nobody needs them.
DECODABLE: Final[dict[str, dict[int, bytes]]] = {
    "nothing besides": {},
    "a timestamp in milliseconds": {TIMESTAMP: struct.pack(">Q", MICROSECONDS // 1000)},
    "a header of a timestamp in milliseconds": _table(short_text(b"h") + b"T" + struct.pack(">Q", 2**40)),
    "a header that is not UTF-8": _table(short_text(b"h") + b"S" + long_text(b"\xff\xfe")),
    "a header of bytes": _table(short_text(b"h") + b"x" + long_text(b"\xff\xfe")),
    "a header of the smallest decimal": _table(short_text(b"h") + b"D" + b"\xff" + struct.pack(">i", -(2**31))),
    "a header of an array": _table(short_text(b"h") + b"A" + long_text(b"VVV")),
    "our own headers from a stranger": _table(
        short_text(b"x-attempt")
        + b"S"
        + long_text(b"9")
        + short_text(b"x-publisher")
        + b"S"
        + long_text(b"gateway")
        + short_text(b"x-death")
        + b"S"
        + long_text(b"9")
        + short_text(b"x-delivery-count")
        + b"I"
        + struct.pack(">i", 9)
        + short_text(b"x-parley-undecodable")
        + b"S"
        + long_text(b"x")
    ),
    "whole numbers of every size": _table(
        short_text(b"i")
        + b"B\x01"
        + short_text(b"j")
        + b"i"
        + struct.pack(">I", 9)
        + short_text(b"k")
        + b"l"
        + struct.pack(">q", -(2**63))
        + short_text(b"u")
        + b"u"
        + struct.pack(">H", 9)
    ),
    "the highest priority": {PRIORITY: b"\xff"},
    "a place for a reply": {REPLY_TO: short_text(b"parley.replies.x"), CORRELATION_ID: short_text(b"c")},
    "texts that are not UTF-8": {
        CONTENT_ENCODING: short_text(b"\xff"),
        CORRELATION_ID: short_text(b"\xff"),
        APP_ID: short_text(b"\xff\x00"),
        TYPE: short_text(b"\x80"),
    },
}
