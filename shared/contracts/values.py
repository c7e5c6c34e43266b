"""Contents compared by value: the same digest however the same values are spelled. Pure.

A moment is the same in every offset (`18:05+01:00`, `17:05Z`), a decimal number with any number of noughts (`23`, `23.00`). What is
absent equals its default, because models are compared and not texts.
"""

import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Context, InvalidOperation
from functools import cache
from typing import Annotated, Final, get_args, get_origin

from pydantic import BaseModel

from shared.fields import DecimalText

DIGEST_BYTES: Final = 16
# Of any number that a contract can hold: nothing is rounded here.
_EXACT: Final = Context(prec=1_000)


def value_digest(model: BaseModel, *, without: Collection[str] = ()) -> str:
    """The digest (32 hexadecimal characters) of the model's values, less the fields `without` of the model itself."""
    values = _of_model(model, without)
    content = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(content.encode(), digest_size=DIGEST_BYTES).hexdigest()


def _of_model(model: BaseModel, without: Collection[str] = ()) -> dict[str, object]:
    decimals = _decimal_fields(type(model))
    names = type(model).model_fields.keys() - set(without)
    return {name: _of(getattr(model, name), is_decimal=name in decimals) for name in names}


def _of(value: object, *, is_decimal: bool) -> object:
    match value:
        case BaseModel():
            return _of_model(value)
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds")
        case str():
            return _number(value) if is_decimal else value
        case list() | tuple():
            return [_of(each, is_decimal=is_decimal) for each in value]
        case dict():
            return {name: _of(each, is_decimal=is_decimal) for name, each in value.items()}
        case None | bool() | int() | float():
            return value
        case _:
            raise TypeError(f"how a {type(value).__name__} is compared by value has not been said")


def _number(text: str) -> str:
    try:
        number = _EXACT.create_decimal(text)
    except InvalidOperation:
        return text
    return format(number.normalize(_EXACT), "f") if number else "0"


@cache
def _decimal_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields in whose type a decimal number stands, at whatever depth."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(each, DecimalText) for each in field.metadata) or _mentions_decimal(field.annotation)
    )


def _mentions_decimal(annotation: object) -> bool:
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated and any(isinstance(each, DecimalText) for each in arguments[1:]):
        return True
    return any(_mentions_decimal(each) for each in arguments)
