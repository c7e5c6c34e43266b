"""Makes bad input out of good: changes bytes, and where it is JSON, changes values, names and shapes."""

import json
from random import Random
from typing import Any, Final

# Pieces that have broken parsers elsewhere.
PIECES: Final = (
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xe2\x80\xae",
        b"\xef\xbb\xbf",
        b"\r\n",
    ),
    *(b"\\u0000", b"\\ud800", b"\\udfff\\ud800", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"//", b"NaN"),
    *(b"Infinity", b"-0", b"1e999", b"-1e-999", b"9" * 400, b"0x10", b"01", b"+1", b"1_000", b"true", b"null", b"''"),
    *(b"%00", b"%0d%0a", b"%", b"../", b"$ne", b"$where", b"${jndi:", b"{{7*7}}", b"<script>", b"=1+1", b"\x1b[2J"),
    *(b"[" * 3_000, b'{"a":' * 600, b"(" * 50, b"a" * 70_000, b"=", b".", b"..", b"-", b" ", b"\t", b"\x85", b"\xa0"),
)
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0.1, -0.0, 1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        " ",
        "\x00",
        "\ud800",
        "\udfff",
        "a\r\nb: c",
        "\u202e",
        "é" * 300,
        "x" * 20_000,
        "🪔" * 9_000,
    ),
    *("1e5", "NaN", "2026-13-45T99:99:99Z", "9999-12-31T23:59:60Z", "0000-00-00", "+999999-01-01T00:00:00Z", "P1D"),
    *(
        [],
        {},
        [[]],
        [None],
        {"$ne": None},
        {"$gt": ""},
        {"": ""},
        {"__proto__": {}},
        ["a"] * 2_000,
        {"a": {"b": {"c": 1}}},
    ),
)
DEEPEST: Final = 2_000


def mutated(seed: bytes, others: tuple[bytes, ...], chance: Random) -> bytes:
    """Another input, most often one to four changes away from the seed; now and then nothing of it is left."""
    kind = chance.random()
    if kind < 0.03:
        return chance.randbytes(chance.randrange(200))
    if kind < 0.45 and seed[:1] in (b"{", b"["):
        return _reshaped(seed, chance)
    found = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4, 8))):
        _change(found, others, chance)
    return bytes(found[:200_000])


def _change(found: bytearray, others: tuple[bytes, ...], chance: Random) -> None:
    at = chance.randrange(len(found) + 1)
    match chance.randrange(8):
        case 0 if found:
            found[at - 1] ^= 1 << chance.randrange(8)
        case 1:
            found[at:at] = chance.choice(PIECES)
        case 2:
            del found[at : at + chance.randrange(1, 9)]
        case 3:
            found[at:at] = found[at : at + chance.randrange(1, 40)] * chance.randrange(1, 4)
        case 4:
            del found[at:]
        case 5:
            other = chance.choice(others)
            found[at:] = other[chance.randrange(len(other) + 1) :]
        case 6 if found:
            found[at - 1] = chance.randrange(256)
        case _:
            found[at:at] = chance.randbytes(chance.randrange(1, 5))


def _reshaped(seed: bytes, chance: Random) -> bytes:
    """The JSON with values, names or nesting changed; what is no JSON any more is left to the bytes."""
    try:
        value = json.loads(seed)
    except ValueError:
        return seed
    for _ in range(chance.choice((1, 1, 2, 3))):
        value = _with_one_change(value, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5, separators=(",", ":"))
    if chance.random() < 0.05:
        depth = chance.randrange(1, DEEPEST)
        text = "[" * depth + text + "]" * depth
    return text.encode("utf-8", "surrogatepass")


def _with_one_change(value: Any, chance: Random) -> Any:
    if not isinstance(value, (dict, list)) or not value or chance.random() < 0.2:
        return chance.choice(VALUES)
    if isinstance(value, list):
        changed = list(value)
        place = chance.randrange(len(changed))
        changed[place : place + 1] = chance.choice(([_with_one_change(changed[place], chance)], [], changed * 2))
        return changed
    names = list(value)
    name = chance.choice(names)
    match chance.randrange(6):
        case 0:
            return {each: value[each] for each in names if each != name}
        case 1:
            return {**value, chance.choice(("$ne", "", "__proto__", "x" * 300, name + "\x00")): chance.choice(VALUES)}
        case 2:
            return {**value, name: value[chance.choice(names)]}
        case _:
            return {**value, name: _with_one_change(value[name], chance)}
