"""The extremes of every field of a contract, found by walking its types: a new field is in every test of extremes by itself.

A field of a type that is not known here fails the walk, with what to do. Values are JSON's.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from shared import fields

# Beyond the Basic Multilingual Plane: four bytes in UTF-8, two units in UTF-16, and one character to us.
WIDE: Final = "\U00020b9f"
# Of a text to which its contract sets no limit.
UNLIMITED: Final = 10_000

MOMENTS: Final = (
    "0001-01-01T00:00:00Z",
    "0001-01-01T14:00:00+14:00",
    "0999-12-31T23:59:59.001-00:01",
    "1969-12-31T23:59:59.999Z",
    "9999-12-31T23:59:59.9999999Z",
    "9999-12-31T09:59:59.999999-14:00",
)
MOMENTS_BEYOND: Final = (
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:59+00:01",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999-00:01",
)

OF_TYPE: Final[Sequence[tuple[Any, tuple[Any, ...]]]] = (
    (fields.Moment, MOMENTS),
    (fields.OrderId, ("0", "Z" + "~" * 63, "a:._-~b")),
    (fields.CommandId, ("a" * 42, "7" * 42)),
    (fields.MessageText, (".", WIDE * 10_000, "\n\u2028\x7f.", "$literal")),
    (fields.NoteText, ("", WIDE * 10_000)),
    (fields.Name, (".", WIDE * 200, "W" * 200, "$customer.name")),
    (fields.PersonId, (".", WIDE * 128, "$where", "a.b|c")),
    (fields.EmailAddress, ("a@b.co", "l" * 64 + "@" + ".".join(["d" * 60, "d" * 60, "d" * 59]) + ".example")),
    (fields.Locale, ("de", "QAA_12345678_abcdefgh_12345678", "fr-CA")),
    (fields.Money, ("0", "-0.0000", "999999999999.9999", "-999999999999.9999", "000000000000")),
    (fields.Currency, ("AAA", "JPY", "ZZZ")),
    (fields.WebAddress, ("http://a", "https://a/" + "%F0%A0" * 331)),
    (fields.Seq, (0, fields.MAX_EXACT_INTEGER)),
    (bool, (False, True)),
)


class UnknownType(Exception):
    """A field of a type whose extremes nobody has said yet."""

    def __init__(self, place: str, annotation: object) -> None:
        super().__init__(
            f"{place} is of a type that tests/extremes.py does not know: add its extremes there ({annotation})"
        )


def variants(
    model: type[BaseModel], good: Mapping[str, Any], *, without: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The good content with one field at one of its extremes, for each of both: where it is, and the content.

    `without` names fields that have no extremes of their own, such as the id of another thing that must be there.
    """
    kept = {name: value for name, value in good.items() if name not in without}
    for place, value in _places(model, kept, "", without):
        yield place, _with(dict(good), place.split("."), value)


def _places(model: type[BaseModel], good: Any, above: str, without: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    for name, annotation in get_type_hints(model, include_extras=True).items():
        if name in model.model_fields and name not in without:
            place = f"{above}.{name}".lstrip(".")
            yield from _of_field(place, annotation, good.get(name) if isinstance(good, Mapping) else None)


def _of_field(place: str, annotation: Any, good: Any) -> Iterator[tuple[str, Any]]:
    known = [values for each, values in OF_TYPE if _is(annotation, each)]
    if known:
        yield from ((place, value) for value in known[0])
    elif get_origin(annotation) is Annotated and _is_model_or_list(get_args(annotation)[0]):
        yield from _of_list(place, get_args(annotation), good)
    elif get_origin(annotation) in (Union, types.UnionType):
        for each in get_args(annotation):
            yield from [(place, None)] if each is type(None) else _of_field(place, each, good)
    elif get_origin(annotation) is Literal:
        yield from ((place, value) for value in get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from _places(annotation, good, place)
    else:
        yield from ((place, value) for value in _of_limits(place, annotation))


def _is(annotation: Any, known: Any) -> bool:
    """Whether it is the known type, or that one with more rules behind it."""
    parts, begins = get_args(annotation), get_args(known)
    return bool(annotation == known or (begins and parts[: len(begins)] == begins))


def _is_model_or_list(annotation: Any) -> bool:
    return get_origin(annotation) is list


def _of_list(place: str, annotated: tuple[Any, ...], good: Any) -> Iterator[tuple[str, Any]]:
    """None of them, as many as there may be, and one at each extreme of its own fields."""
    [item], first = get_args(annotated[0]), good[0]
    longest = _limit(annotated[1:], MaxLen, "max_length")
    yield place, []
    yield place, [first] * longest
    yield from _of_field(f"{place}.0", item, first)


def _of_limits(place: str, annotation: Any) -> Iterator[Any]:
    """Both ends of a text's length or a number's range, where the type says them and no pattern besides."""
    kind, *limits = get_args(annotation) or (annotation,)
    if kind is str and not any(isinstance(each, StringConstraints) and each.pattern for each in limits):
        shortest, longest = _limit(limits, MinLen, "min_length", 0), _limit(limits, MaxLen, "max_length", UNLIMITED)
        yield from (WIDE * shortest, WIDE * longest, ("$\t\\" * longest)[:longest])
    elif kind is int:
        yield from (_limit(limits, Ge, "ge"), _limit(limits, Le, "le"))
    else:
        raise UnknownType(place, annotation)


def _limit(metadata: Sequence[Any], kind: type, name: str, default: int | None = None) -> int:
    found = [each for one in metadata for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
    for each in found:
        value = getattr(each, name, None)
        if isinstance(each, kind | StringConstraints) and value is not None:
            return int(value)
    if default is None:
        raise UnknownType(name, metadata)
    return default


def _with(content: Any, place: list[str], value: Any) -> Any:
    """The content with this value there; what is above it is made where it is missing."""
    if not place:
        return value
    first, rest = place[0], place[1:]
    if isinstance(content, list):
        return [_with(each, rest, value) if f"{number}" == first else each for number, each in enumerate(content)]
    return {**(content or {}), first: _with((content or {}).get(first), rest, value)}
