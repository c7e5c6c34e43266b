"""CloudEvents 1.0 as shops send them, over AMQP: structured or binary, made structured when first read. Pure.

Sources: the CloudEvents specification 1.0.2, its JSON event format, its AMQP binding (`cloudEvents_`, `cloudEvents:`), and the RabbitMQ
binding of Knative (`ce-`).
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, StringConstraints, TypeAdapter, ValidationError

from shared.errors import CannotProcess
from shared.fields import Moment

STRUCTURED: Final = "application/cloudevents+json"
PREFIXES: Final = ("ce-", "cloudevents_", "cloudevents:")
MAX_ATTRIBUTES_BYTES: Final = 65_536
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

ONE_BY_ONE: Final = "a batch is not taken: publish each event as a message of its own"
NOT_JSON: Final = (
    "an event in another format than JSON is not taken: its media type must be application/cloudevents+json"
)

_NAME: Final = re.compile(r"[a-z0-9]+")
_MEDIA_TYPE: Final = re.compile(r"([^\s/;]+)/([^\s/;]+)((?:\s*;\s*[^\s=;]+=(?:\"[^\"]*\"|[^\s;\"]*))*)\s*;?")
_CHARSET: Final = re.compile(r";\s*charset=\"?([^\s;\"]*)\"?", re.IGNORECASE)
# RFC 3339, section 5.6, with the seconds that a clock shows; which moments there are is Moment's to say.
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


_AWARE: Final = TypeAdapter(AwareDatetime)


def _rfc_3339(value: object) -> object:
    """A number, or a text of digits, would be guessed to be seconds or milliseconds since 1970.

    Gives a moment, not the text: behind a validator of ours, strict reading (bodies over HTTP) takes no texts for moments.
    """
    if isinstance(value, datetime):
        return value
    with contextlib.suppress(ValidationError):
        if isinstance(value, str) and _RFC_3339.fullmatch(value):
            return _AWARE.validate_python(value)
    raise ValueError("must be a date and time as RFC 3339 has it, like 2026-01-31T09:05:00.250Z")


def _json(value: str) -> str:
    if not is_json(value):
        raise ValueError("must be a media type of JSON in UTF-8, like application/json or application/vnd.shop+json")
    return value


Timestamp = Annotated[Moment, BeforeValidator(_rfc_3339)]
Attribute = Annotated[str, StringConstraints(min_length=1)]
UriReference = Annotated[str, StringConstraints(min_length=1, pattern=r"""^[^\s\x00-\x1f\x7f<>"\\^`{|}]+$""")]
JsonMediaType = Annotated[str, AfterValidator(_json)]


def is_json(media_type: str) -> bool:
    """Whether this is `application/json`, `application/vnd.shop+json` or the like, in UTF-8, whatever other parameters it has."""
    found = _MEDIA_TYPE.fullmatch(media_type.strip())
    if found is None:
        return False
    subtype, charset = found[2].lower(), _CHARSET.search(found[3])
    return (subtype == "json" or subtype.endswith("+json")) and (
        charset is None or charset[1].lower() in ("utf-8", "utf8", "us-ascii")
    )


def is_binary(content_type: str | None, headers: Mapping[str, object]) -> bool:
    """Whether the attributes are in the headers. The media type decides first, as the bindings have it."""
    of_events = (content_type or "").strip().lower().startswith("application/cloudevents")
    return not of_events and any(name == "specversion" for name in _attributes(headers))


def structured(body: bytes, *, content_type: str | None, headers: Mapping[str, object]) -> bytes:
    """The event as one JSON document. Raises CannotProcess for a batch, another format, and data that are no JSON."""
    if is_binary(content_type, headers):
        return _from_binary(body, content_type, _attributes(headers))
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind.startswith("application/cloudevents-batch") or body.lstrip()[:1] == b"[":
        raise CannotProcess("invalid", ONE_BY_ONE)
    if kind.startswith("application/cloudevents") and not is_json(content_type or ""):
        raise CannotProcess("invalid", NOT_JSON)
    return body


def _attributes(headers: Mapping[str, object]) -> dict[str, object]:
    """What the headers say of the event, by attribute; header names may come in any case."""
    found: dict[str, object] = {}
    for name, value in headers.items():
        lower = name.lower()
        prefix = next((each for each in PREFIXES if lower.startswith(each)), None)
        if prefix is not None:
            found[lower.removeprefix(prefix)] = value
    return found


def _from_binary(body: bytes, content_type: str | None, attributes: Mapping[str, object]) -> bytes:
    if content_type is not None and not is_json(content_type):
        raise CannotProcess("invalid", "content_type: the data of an event must be JSON in UTF-8")
    event = {name: _value(name, value) for name, value in attributes.items() if name not in ("data", "data_base64")}
    if content_type is not None:
        event["datacontenttype"] = content_type
    try:
        orjson.loads(body)
        return orjson.dumps(event | {"data": orjson.Fragment(body)})
    except orjson.JSONDecodeError:
        raise CannotProcess("invalid", "data: must be JSON in UTF-8") from None
    except orjson.JSONEncodeError:
        raise CannotProcess(
            "invalid", "headers: an attribute must be a text, an integer, yes or no, or a moment"
        ) from None


def _value(name: str, value: object) -> object:
    """AMQP has types of its own: a moment, which some write as milliseconds since 1970 (AMQP 1.0's timestamp), and bytes."""
    match value:
        case datetime():
            return value.replace(tzinfo=value.tzinfo or UTC).isoformat()
        case int() if name == "time" and not isinstance(value, bool):
            return _in_milliseconds(value)
        case bytes() | bytearray():
            return bytes(value).decode("utf-8", "replace")
        case _:
            return value


def _in_milliseconds(value: int) -> object:
    try:
        return (EPOCH + timedelta(milliseconds=value)).isoformat()
    except OverflowError:
        return value


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """A structured event as JSON has it, with its data in `data`. Raises ValueError for what is no CloudEvent.

    What the fields of the contract say is left to them: this is about names, extensions, and data as base64.
    """
    attributes = {name: value for name, value in event.items() if name not in ("data", "data_base64")}
    for name, value in attributes.items():
        if not _NAME.fullmatch(name):
            raise ValueError("the names of a CloudEvent's attributes are lower-case letters and digits")
        if not isinstance(value, str | int | None):
            raise ValueError("an attribute of a CloudEvent is a text, an integer, or yes or no")
        if isinstance(value, str) and not value and name in ("subject", "dataschema", "datacontenttype"):
            raise ValueError(f"{name} must not be empty; leave it out instead")
    said = {name: value for name, value in event.items() if value is not None or name == "data"}
    encoded = said.pop("data_base64", None)
    if encoded is None:
        return said
    if event.get("data") is not None:
        raise ValueError("data and data_base64 cannot be given together")
    return said | {"data": _decoded(encoded)}


def _decoded(encoded: object) -> Any:
    try:
        return orjson.loads(base64.b64decode(encoded, validate=True)) if isinstance(encoded, str) else None
    except (binascii.Error, ValueError):
        raise ValueError("data_base64 must be JSON in base64") from None
