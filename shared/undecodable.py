"""Message properties that the AMQP library cannot decode: the one message is marked, and its connection lives.

pamqp decodes a message's properties while it reads the connection, and what it cannot decode (a timestamp in microseconds, a header's name
that is not UTF-8, tables nested hundreds deep) ends the connection: everything that is unacknowledged comes again, to meet the same
message, until RabbitMQ gives innocent neighbours up with it. RabbitMQ itself forwards properties as bytes. So they are read leniently
here: what cannot be decoded is left out, and `Undecodable` stands in the headers, for `shared.delivery` to refuse that message alone.

This replaces two functions of pamqp, whose version `install` checks. It can go when pamqp decodes leniently, or lets its caller read the
properties after the frame: https://github.com/gmr/pamqp (as of 4.0.1 `frame.unmarshal` does both in one). The tests that hold it are
tests/integration/worker/test_undecodable.py and the parser "AMQP properties" of tests/fuzz/parsers.py.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Any, Final

from pamqp import decode
from pamqp.commands import Basic
from pamqp.header import ContentHeader

KNOWN_VERSIONS: Final = frozenset({"4.0.1"})
MARK: Final = "x-parley-undecodable"

FIXED_HEADER: Final = struct.Struct(">HHQ")
LENGTH: Final = struct.Struct(">I")
MORE_FLAGS: Final = 1
DELIVERY_MODES: Final = (None, 0, 1, 2)
MAX_PROBLEMS: Final = 10
# By the letter of its type, how many bytes a value in a table has; the others begin with their length.
SIZE_OF: Final[Mapping[bytes, int]] = {
    **dict.fromkeys((b"V", b"\x00"), 0),
    **dict.fromkeys((b"t", b"b", b"B"), 1),
    **dict.fromkeys((b"s", b"u"), 2),
    **dict.fromkeys((b"I", b"i", b"f"), 4),
    b"D": 5,
    **dict.fromkeys((b"l", b"L", b"d", b"T"), 8),
}
WITH_LENGTH: Final = (b"S", b"x", b"A", b"F")

# What pamqp's functions raise for bytes that they do not understand. UnicodeDecodeError and struct's own are among or beside ValueError.
NOT_DECODED: Final = (ValueError, TypeError, LookupError, ArithmeticError, OSError, RecursionError, struct.error)

_unmarshal: Final[Callable[[ContentHeader, bytes], None]] = ContentHeader.unmarshal
_value: Final = decode.embedded_value


class Undecodable(str):
    """Stands under MARK in the headers of a message: which of its properties cannot be decoded. Nobody can send one: a header is a `str`."""

    __slots__ = ()


class UnknownVersionError(RuntimeError):
    """pamqp is of a version of which nobody knows whether this module fits it."""


def install() -> None:
    """Reads the properties of every message leniently from now on. May be called again.

    Raises UnknownVersionError where pamqp is of another version than those that this was tried with.
    """
    found = version("pamqp")
    if found not in KNOWN_VERSIONS:
        known = ", ".join(sorted(KNOWN_VERSIONS))
        raise UnknownVersionError(
            f"pamqp {found} is installed; shared/undecodable.py fits {known}. Look at it, or pin one"
        )
    setattr(ContentHeader, "unmarshal", _unmarshal_leniently)  # noqa: B010 - the purpose of this module, and no type says it
    decode.METHODS["shortstr"] = decode.short_str = _short_text


def problem_of(headers: Mapping[str, object]) -> str | None:
    """What of the message that has these headers cannot be decoded; None where all of it can."""
    mark = headers.get(MARK)
    return mark if isinstance(mark, Undecodable) else None


def _short_text(value: bytes) -> tuple[int, str]:
    """A short string whatever its bytes are: routing keys and names come in frames that belong to a whole connection."""
    length = value[0]
    return length + 1, value[1 : length + 1].decode("utf-8", errors="backslashreplace")


def _unmarshal_leniently(header: ContentHeader, data: bytes) -> None:
    try:
        _unmarshal(header, data)
        problems = []
    except NOT_DECODED:
        header.class_id, header.weight, header.body_size = FIXED_HEADER.unpack_from(data)
        header.properties = Basic.Properties()
        problems = list(_read_each(header.properties, data[FIXED_HEADER.size :]))
    problems += _without_meaning(header.properties)
    if problems:
        header.properties.headers = {
            **(header.properties.headers or {}),
            MARK: Undecodable("; ".join(problems[:MAX_PROBLEMS])),
        }


def _without_meaning(properties: Basic.Properties) -> Iterator[str]:
    """What aio-pika would stumble over when it makes its message of these: it goes."""
    if properties.delivery_mode not in DELIVERY_MODES:
        yield f"delivery_mode: {properties.delivery_mode} is none"
        properties.delivery_mode = None
    try:
        if properties.expiration is not None:
            float(properties.expiration)
    except ValueError:
        yield "expiration: no number"
        properties.expiration = None


def _read_each(properties: Basic.Properties, data: bytes) -> Iterator[str]:
    """Sets the properties that can be decoded; yields what is wrong with the others."""
    if len(data) < 2 or (flags := int.from_bytes(data[:2], "big")) & MORE_FLAGS:
        yield "properties: not as AMQP 0-9-1 has them"
        return
    data = data[2:]
    for name in Basic.Properties.attributes():
        if not flags & Basic.Properties.flags[name]:
            continue
        kind = Basic.Properties.amqp_type(name)
        try:
            size = _size(kind, data)
            own, data = data[:size], data[size:]
        except (LookupError, struct.error):
            yield f"{name}: it ends too soon"
            return
        try:
            value, wrong = _table(own) if kind == "table" else (decode.by_type(own, kind)[1], [])
            setattr(properties, name, value)
            yield from (f"{name}: {each}" for each in wrong)
        except NOT_DECODED as error:
            yield f"{name}: {error}"


def _size(kind: str, data: bytes) -> int:
    match kind:
        case "shortstr":
            return 1 + data[0]
        case "table":
            return LENGTH.size + int(LENGTH.unpack_from(data)[0])
        case "timestamp":
            return 8
        case _:
            return 1


def _table(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The entries of a table that can be decoded, and what is wrong with the others."""
    found: dict[str, Any] = {}
    wrong: list[str] = []
    at = LENGTH.size
    try:
        while at < len(data):
            name, at = data[at + 1 : at + 1 + data[at]], at + 1 + data[at]
            kind = data[at : at + 1]
            size = SIZE_OF[kind] if kind not in WITH_LENGTH else LENGTH.size + LENGTH.unpack_from(data, at + 1)[0]
            value, at = data[at : at + 1 + size], at + 1 + size
            try:
                found[name.decode()] = _value(value)[1]
            except NOT_DECODED as error:
                wrong.append(f"{_printable(name)}: {type(error).__name__} {error}")
    except (LookupError, struct.error):
        wrong.append("not as AMQP 0-9-1 has tables")
    return found, wrong


def _printable(name: bytes) -> str:
    return name.decode("utf-8", errors="backslashreplace")
