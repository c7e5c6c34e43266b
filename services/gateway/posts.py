"""The short way for the busiest request, a message posted: bare ASGI, without what FastAPI does around a route.

It takes what is plainly as it should be. Any other request (a header given twice, another content type, a body in chunks, an address that
is none, …) goes the ordinary way, through `routes.threads.post_message`, which says what is wrong; so the two never differ in what they refuse.
"""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway import access, bodies, prefer, problems, writes
from services.gateway.commands import SOURCE, ReadyCommand
from services.gateway.parts import Parts
from services.gateway.prefer import Preference
from services.gateway.requests import NewMessage
from services.gateway.writes import Write
from shared.callers import Caller
from shared.errors import ProblemError
from shared.fields import ORDER_ID_PATTERN

OPERATION: Final = "message.post"
TYPE: Final = "parley.command.message.post.v1"
ADDRESS: Final = re.compile(f"/v1/orders/({ORDER_ID_PATTERN.strip('^$')})/messages")
BEARER: Final = b"Bearer "
JSON_TYPES: Final = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)
KEY: Final = re.compile(rb"[\x20-\x7e]{1,255}")
LENGTH: Final = re.compile(rb"[0-9]{1,6}")
MAX_PREFER_CHARACTERS: Final = 200

Layer = Callable[[ASGIApp], ASGIApp]


@dataclass(frozen=True, slots=True)
class Address:
    """Stands in the scope where a route would, so that traces and logs name the template."""

    path: str = "/v1/orders/{order_id}/messages"


@dataclass(frozen=True, slots=True)
class Post:
    """A request that can go the short way; the token and the body are still to be checked."""

    order_id: str
    token: str
    key: str | None
    preference: Preference
    traceparent: str


class ShortWay(FastAPI):
    """FastAPI, with the short way beside it: for a post it leaves out what FastAPI does around every request, and none of our own layers."""

    _posts: ASGIApp | None = None

    def open_short_way(self, layers: Iterable[Layer]) -> None:
        """From now on posts go there. The last layer is the outermost."""
        posts: ASGIApp = answer
        for layer in layers:
            posts = layer(posts)
        self._posts = posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        post = None if self._posts is None else plainly_good(scope)
        if post is None or self._posts is None:
            return await super().__call__(scope, receive, send)
        scope.update(app=self, route=Address(), post=post)
        return await self._posts(scope, receive, send)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The innermost of the short way. The application's parts are where routes find them."""
    parts: Parts = scope["app"].state.parts
    try:
        response = await _answer(scope["post"], parts, receive)
    except ProblemError as error:
        response = problems.answer_error(error, parts.figures)
    await response(scope, receive, send)


def plainly_good(scope: Scope) -> Post | None:
    """The request, where its address and headers are in their usual form; None sends it the ordinary way."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    address = ADDRESS.fullmatch(scope["path"])
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    if address is None or len(headers) != len(scope["headers"]) or not _usual_body(headers):
        return None
    authorization, key = headers.get(b"authorization", b""), headers.get(b"idempotency-key")
    if not authorization.startswith(BEARER) or (key is not None and not KEY.fullmatch(key)):
        return None
    preferences = headers.get(b"prefer", b"")
    if len(preferences) > MAX_PREFER_CHARACTERS:
        return None
    return Post(
        order_id=address[1],
        token=authorization[len(BEARER) :].decode("latin-1").strip(),
        key=None if key is None else key.decode("ascii"),
        preference=_preference(preferences),
        traceparent=headers.get(b"traceparent", b"").decode("latin-1"),
    )


def _usual_body(headers: Mapping[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"")
    return (
        headers.get(b"content-type") in JSON_TYPES
        and LENGTH.fullmatch(length) is not None
        and int(length) <= bodies.MAX_BODY_BYTES
    )


@functools.lru_cache(maxsize=256)
def _preference(value: bytes) -> Preference:
    return prefer.read([value.decode("latin-1")])


async def _answer(post: Post, parts: Parts, receive: Receive) -> Response:
    """Checked in the order of the ordinary way: the token, then the body, then what the role allows."""
    write = Write(
        signed_in=await parts.tokens.check(post.token),
        ids=parts.command_ids,
        key=post.key,
        preference=post.preference,
        traceparent=writes.traceparent_of(post.traceparent),
    )
    message = await _message(receive)
    access.on_thread(write.caller, post.order_id)
    return await parts.commands.answer_ready(command(post.order_id, message, write), write)


async def _message(receive: Receive) -> NewMessage:
    body = await bodies.received(receive, limit_bytes=bodies.MAX_BODY_BYTES)
    try:
        return NewMessage.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise bodies.refused(error, body) from None


def command(order_id: str, message: NewMessage, write: Write) -> ReadyCommand:
    """What `PostMessage(…).model_dump_json(exclude_none=True)` says, of fields that are all checked already, in a quarter of its time."""
    heading, caller = write.heading(OPERATION, order_id), write.caller
    asked: dict[str, object] = {"order_id": order_id, "caller": _fields(caller), "text": message.text}
    if message.after is not None:
        asked["after"] = message.after
    envelope: dict[str, object] = {
        "specversion": "1.0",
        "id": heading["id"],
        "source": SOURCE,
        "type": TYPE,
        "subject": order_id,
        "time": heading["time"],
        "datacontenttype": "application/json",
        "stamp": heading["stamp"],
        "data": asked,
    }
    if heading["traceparent"] is not None:
        envelope["traceparent"] = heading["traceparent"]
    body = orjson.dumps(envelope, option=orjson.OPT_UTC_Z)
    return ReadyCommand(id=heading["id"], stamp=heading["stamp"], operation=OPERATION, order_id=order_id, body=body)


def _fields(caller: Caller) -> dict[str, str]:
    fields: dict[str, str] = {"role": caller.role, "id": caller.id, "name": caller.name}
    if caller.seller_id is not None:
        fields["seller_id"] = caller.seller_id
    if caller.order_id is not None:
        fields["order_id"] = caller.order_id
    return fields
