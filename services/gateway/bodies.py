"""Reads JSON bodies: of a limited size and time, strictly, and with the field that is wrong."""

import asyncio
import codecs
import json
from collections.abc import Iterator
from email.message import Message
from typing import Any, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.gateway import problems
from services.gateway.auth import SignedInCaller
from shared.errors import FieldError, ProblemError, refuse
from shared.fields import GIVEN

# 10,000 characters beyond the Basic Multilingual Plane, escaped as most JSON writers do, are 120,000 bytes.
MAX_BODY_BYTES: Final = 128 * 1024
# How much above the limit is read before the connection is cut off.
DRAINED_BYTES: Final = 1_048_576
MAX_ORDER_BYTES: Final = 1024 * 1024
BODY_DEADLINE_S: Final = 15.0
# The second is what the web's encodings call it too (WHATWG).
UTF_8: Final = ("utf-8", "utf8")

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
    return validated(model, body)


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
    """Parameters other than `charset` say nothing to us, and are no reason to refuse (RFC 8259, 11: there are none, not even that one)."""
    said = Message()
    said["content-type"] = content_type
    is_json = content_type.partition(";")[0].strip().lower() == "application/json"
    if not is_json or str(said.get_param("charset", "utf-8")).lower() not in UTF_8:
        raise ProblemError(problems.http_problem(415, "Send JSON in UTF-8, with Content-Type: application/json."))


def validated(model: type[M], body: bytes) -> M:
    """The body as this model. Raises ProblemError (422), also for a member that is there twice: readers of JSON differ in which one counts.

    A byte order mark before the JSON is ignored, as RFC 8259 (8.1) lets readers do.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        read = model.model_validate_json(body, strict=True, context=GIVEN)
    except ValidationError as error:
        raise refused(error, body) from None
    if doubled := doubled_members(body):
        raise problems.invalid_fields([FieldError(field=place, message=DOUBLED) for place in doubled])
    return read


class _Doubled(dict[str, object]):
    """An object in which these members were given more than once."""

    names: tuple[str, ...] = ()


def doubled_members(body: bytes) -> list[str]:
    """The places of members that their object has more than once, in a body that is known to be JSON."""
    is_doubled = False

    def read_object(members: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal is_doubled
        found = dict(members)
        if len(found) == len(members):
            return found
        is_doubled, seen = True, [name for name, _ in members]
        doubled = _Doubled(found)
        doubled.names = tuple(name for name in found if seen.count(name) > 1)
        return doubled

    try:
        document = json.loads(body, object_pairs_hook=read_object)
    except (ValueError, RecursionError):
        return []
    return list(_doubled_in(document, "")) if is_doubled else []


def _doubled_in(value: object, place: str) -> Iterator[str]:
    if isinstance(value, _Doubled):
        yield from (_below(place, name) for name in value.names)
    match value:
        case dict():
            for name, inner in value.items():
                yield from _doubled_in(inner, _below(place, name))
        case list():
            for number, inner in enumerate(value):
                yield from _doubled_in(inner, _below(place, str(number)))
        case _:
            return


def _below(place: str, name: str) -> str:
    """The name of a field below a place; one that cannot be said in a line is the body's."""
    return f"{place}.{name}".lstrip(".") if name.isprintable() else "body"


def refused(error: ValidationError, body: bytes) -> ProblemError:
    wrong = error.errors(include_input=False, include_url=False, include_context=False)
    if any(each["type"] == "json_invalid" for each in wrong):
        fields = [FieldError(field=place, message=SURROGATE) for place in _surrogates(body)]
        if fields:
            return problems.invalid_fields(fields)
    return problems.invalid([dict(each) for each in wrong])


DOUBLED: Final = "must be given once"
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
                yield from _walk(inner, _below(place, name))
        case list():
            for number, inner in enumerate(value):
                yield from _walk(inner, _below(place, str(number)))
        case _:
            return
