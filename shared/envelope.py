"""The envelope of every message: CloudEvents 1.0, JSON, structured mode."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from shared.errors import CannotProcess, message_of
from shared.fields import Grown, Moment

MEDIA_TYPE = "application/cloudevents+json"
MAX_MESSAGE_BYTES = 1_048_576

# A field's name as programs spell them; whatever else stands in its place may be a value like any other.
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")

M = TypeVar("M")


class Envelope(Grown):
    """What every Parley message carries, whatever it says.

    `id` is the same in every copy of one message, so a reader that drops the ids it knows sees each message once.
    `source` names the publishing service, `subject` the order, `traceparent` the trace (W3C Trace Context).
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str | None = None
    time: Moment
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None


def read(adapter: TypeAdapter[M], body: bytes, *, context: Mapping[str, Any] | None = None) -> M:
    """The message in these bytes; `context` is `GIVEN` for what shops send. Raises CannotProcess, with the first broken field but never its value."""
    if len(body) > MAX_MESSAGE_BYTES:
        raise CannotProcess("too_large", f"{len(body)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    try:
        return adapter.validate_json(body, context=context)
    except ValidationError as error:
        raise CannotProcess("invalid", first_error(error)) from None


def first_error(error: ValidationError) -> str:
    """Field and message of the first of the errors, without the value (it may be an address or a text)."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(_part(part) for part in first["loc"]) or "body"
    # pydantic's own message names the unknown type, which is a value like any other.
    said = "is of no type that is known here" if first["type"] == "union_tag_invalid" else message_of(first)
    return f"{where}: {said}"


def _part(part: int | str) -> str:
    return str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "(a field)"
