"""How answers stand in the OpenAPI document: statuses, schemas, headers, links."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from shared.errors import PROBLEM_MEDIA_TYPE

Described = dict[int | str, dict[str, Any]]

PROBLEM_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}

WORDS: Final[Mapping[int, str]] = {
    401: "No valid bearer token",
    403: "This role may not do that, or the caller may not do it to this thread",
    404: "There is no such thing for this caller; another person's order looks the same",
    408: "The body came in too slowly",
    409: "The Idempotency-Key stands for another request, or the thread is in another state",
    410: "The link was good and has ended: its order belongs to an account now, or is not there any more",
    412: "The dispute has changed since the caller looked (`If-Match`)",
    413: "The body is too large",
    415: "The body is not JSON in UTF-8",
    422: "Something in the request is not valid; `errors` names the fields",
    429: "Too many live connections of this caller, writes of this caller or into this thread, or uses of this link; `Retry-After` says when to try again",
    500: "An error on our side",
    503: "RabbitMQ or threads is away; `Retry-After` says when to try again. `outcome: unknown` where a write was sent without a confirm",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}}
_NEXT = {"Link": {"description": '`rel="next"`, where a page follows (RFC 8288)', "schema": {"type": "string"}}}
_LIMITS = {
    "RateLimit-Policy": {
        "description": "Writes at once, and the seconds in which they come back",
        "schema": {"type": "string"},
    },
    "RateLimit": {"description": "Writes left, and the seconds until all are back", "schema": {"type": "string"}},
}
_AUTHENTICATE = {"WWW-Authenticate": {"description": "The scheme to use", "schema": {"type": "string"}}}

_OF_EVERY_ROUTE = (500,)
_OF_TOKENS = (401, 422, 503)
_OF_BODIES = (408, 413, 415, 422)


def problem(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": WORDS[status],
        "content": {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}},
    }
    if status in (429, 503):
        described["headers"] = _RETRY_AFTER | (_LIMITS if status == 429 else {})
    if status == 401:
        described["headers"] = _AUTHENTICATE
    return described


def problems(*statuses: int) -> Described:
    everything = sorted({*statuses, *_OF_EVERY_ROUTE})
    other = {"description": "Any other refusal", "content": {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}}
    return {**{status: problem(status) for status in everything}, "default": other}


def question(*, etag: str = "For `If-None-Match`", of_order: bool = True, in_pages: bool = False) -> Described:
    """What any question may be answered with. `etag`: what its tag is for."""
    described = problems(*_OF_TOKENS, 403, *((404,) if of_order else ()))
    tag = {"ETag": {"description": etag, "schema": {"type": "string"}}}
    described[200] = {"headers": tag | (_NEXT if in_pages else {})}
    described[304] = {"description": "Nothing has changed since the `ETag` in `If-None-Match`", "headers": tag}
    return described


def write(*also: int, done: Mapping[int, type[BaseModel]], body: bool = True) -> Described:
    """What a write may be answered with: done with the result, accepted, or refused."""
    described = problems(*_OF_TOKENS, 403, 409, 429, *(_OF_BODIES if body else ()), *also)
    for status, model in done.items():
        described[status] = {"description": "Done", "model": model, "headers": _APPLIED | _LIMITS}
    described[202] = {**ACCEPTED, "headers": ACCEPTED["headers"] | _LIMITS}
    return described


def order_write(done: type[BaseModel]) -> Described:
    """What `PUT` of an order may be answered with."""
    described = problems(*_OF_TOKENS, 403, 409, *_OF_BODIES)
    described[409]["description"] = "`version_conflict`: this version stands with other content. `parties_changed`"
    described[200] = {"description": "Decided", "model": done, "headers": _APPLIED}
    described[202] = {
        **ACCEPTED,
        "headers": ACCEPTED["headers"]
        | {"Location": {"description": "`/v1/orders/{order_id}/intake/{version}`", "schema": {"type": "string"}}},
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderTaken"}}},
        "links": {
            "intake": {
                "operationId": "getOrderIntake",
                "parameters": {"order_id": "$response.body#/order_id", "version": "$response.body#/version"},
                "description": "What became of it",
            }
        },
    }
    return described


_APPLIED: Final = {
    "Preference-Applied": {"description": "The preferences of `Prefer` that counted", "schema": {"type": "string"}}
}
ACCEPTED: Final[dict[str, Any]] = {
    "description": "Accepted: RabbitMQ has it for certain, threads has not answered yet. Ask at `Location` what became of it",
    "headers": _APPLIED
    | {"Location": {"description": "`/v1/commands/{command_id}`", "schema": {"type": "string"}}}
    | _RETRY_AFTER,
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CommandOutcome"}}},
    "links": {
        "outcome": {
            "operationId": "getCommand",
            "parameters": {"command_id": "$response.body#/command_id"},
            "description": "What became of it",
        }
    },
}


def takes(model: type[BaseModel], example: object, *, required: bool = True) -> dict[str, Any]:
    """The request body, for `openapi_extra`; the body itself is read in bodies.py."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}
    }
