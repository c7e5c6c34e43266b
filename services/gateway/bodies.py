"""Reads JSON bodies: of a limited size and time, strictly, and with the field that is wrong."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.gateway import problems
from services.gateway.auth import SignedInCaller
from shared.errors import FieldError, ProblemError, refuse

# 10,000 characters beyond the Basic Multilingual Plane, escaped as most JSON writers do, are 120,000 bytes.
MAX_BODY_BYTES: Final = 128 * 1024
# How much above the limit is read before the connection is cut off.
DRAINED_BYTES: Final = 1_048_576
MAX_ORDER_BYTES: Final = 1024 * 1024
BODY_DEADLINE_S: Final = 15.0

M = TypeVar("M", bound=BaseModel)


def json_body(model: type[M], *, limit_bytes: int = MAX_BODY_BYTES, empty: M | None = None) -> Any:
    """The dependency that gives a route its body. `empty` is what no body at all stands for.

    It comes after the token: who is not signed in has no body read.
    """

    async def read(request: Request, _caller: SignedInCaller) -> M:
        return await _read(request, model, limit_bytes=limit_bytes, empty=empty)

    return Depends(read)


def json_body_of_anyone(model: type[M]) -> Any:
    """The same without a token."""

    async def read(request: Request) -> M:
        return await _read(request, model, limit_bytes=MAX_BODY_BYTES, empty=None)

    return Depends(read)


async def _read(request: Request, model: type[M], *, limit_bytes: int, empty: M | None) -> M:
    body = await raw_body(request, limit_bytes=limit_bytes)
    if empty is not None and not body:
        return empty
    _require_json(request.headers.get("content-type", ""))
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise refused(error, body) from None


async def raw_body(request: Request, *, limit_bytes: int) -> bytes:
    """The body's bytes. Raises 413 as soon as there are more than the limit, and 408 when they do not come."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and len(announced) < 20 and int(announced) > limit_bytes + DRAINED_BYTES:
        raise _too_large(limit_bytes)
    return await received(request.receive, limit_bytes=limit_bytes)


async def received(receive: Receive, *, limit_bytes: int) -> bytes:
    """The same where the length that was announced is known to be within the limit."""
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            return await _gather(receive, limit_bytes)
    except TimeoutError:
        raise ProblemError(problems.http_problem(408, f"The body must arrive within {BODY_DEADLINE_S:g} s.")) from None


async def _gather(receive: Receive, limit_bytes: int) -> bytes:
    """What is a little too large is read to its end all the same, and thrown away: who still writes does not hear an answer."""
    body, size, more = bytearray(), 0, True
    while more and size <= limit_bytes + DRAINED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= limit_bytes:
            body += part
    if size > limit_bytes:
        raise _too_large(limit_bytes)
    return bytes(body)


def _too_large(limit_bytes: int) -> ProblemError:
    return refuse("too_large", f"The body may have at most {limit_bytes} bytes.")


def _require_json(content_type: str) -> None:
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise ProblemError(problems.http_problem(415, "Send JSON in UTF-8, with Content-Type: application/json."))


def refused(error: ValidationError, body: bytes) -> ProblemError:
    wrong = error.errors(include_input=False, include_url=False, include_context=False)
    if any(each["type"] == "json_invalid" for each in wrong):
        fields = [FieldError(field=place, message=SURROGATE) for place in _surrogates(body)]
        if fields:
            return problems.invalid_fields(fields)
    return problems.invalid([dict(each) for each in wrong])


SURROGATE: Final = "must be Unicode text: it contains half of a surrogate pair"


def _surrogates(body: bytes) -> list[str]:
    """The fields with half a surrogate pair, which a strict reader of JSON refuses without saying where it stands."""
    try:
        return list(_walk(json.loads(body), ""))
    except (ValueError, RecursionError):
        return []


def _walk(value: object, place: str) -> Iterator[str]:
    match value:
        case str() if any("\ud800" <= character <= "\udfff" for character in value):
            yield place or "body"
        case dict():
            for name, inner in value.items():
                yield from _walk(name, "body")
                yield from _walk(inner, f"{place}.{name}".lstrip(".") if name.isprintable() else "body")
        case list():
            for number, inner in enumerate(value):
                yield from _walk(inner, f"{place}.{number}".lstrip("."))
        case _:
            return
