"""The short way of a post: its head is read by hand, its body with the model, and its command written once."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

import orjson
from fastapi.responses import Response
from starlette.types import Receive, Scope

from services.gateway import access, bodies, heads, prefer, writes
from services.gateway.commands import SOURCE, ReadyCommand
from services.gateway.costs import Cost, kept_bytes
from services.gateway.parts import Parts
from services.gateway.prefer import Preference
from services.gateway.requests import NewMessage
from services.gateway.writes import Write
from shared.callers import Caller
from shared.fields import ORDER_ID_PATTERN

OPERATION: Final = "message.post"
TYPE: Final = "parley.command.message.post.v1"
ADDRESS: Final = re.compile(f"/v1/orders/({ORDER_ID_PATTERN.strip('^$')})/messages")
JSON_TYPES: Final = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)
KEY: Final = re.compile(rb"[\x20-\x7e]{1,255}")
LENGTH: Final = re.compile(rb"[0-9]{1,6}")
MAX_PREFER_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Post:
    """A post in the usual form; the token and the body are still to be checked."""

    route: ClassVar[str] = "/v1/orders/{order_id}/messages"

    order_id: str
    token: str
    key: str | None
    preference: Preference
    traceparent: str

    async def answer(self, parts: Parts, receive: Receive) -> Response:
        """Checked in the order of the ordinary way: the token, then the body, then what the role allows."""
        write = Write(
            signed_in=await parts.tokens.check(self.token),
            ids=parts.command_ids,
            key=self.key,
            preference=self.preference,
            traceparent=writes.traceparent_of(self.traceparent),
        )
        message = await _message(receive)
        access.on_thread(write.caller, self.order_id)
        return await parts.commands.answer_ready(command(self.order_id, message, write), write)


def plainly_good(scope: Scope) -> Post | None:
    """The request, where its address and headers are in their usual form; None sends it the ordinary way."""
    address, head = ADDRESS.fullmatch(scope["path"]), heads.usual(scope)
    if address is None or head is None or scope["query_string"] or not _usual_body(head.headers):
        return None
    headers = head.headers
    key = headers.get(b"idempotency-key")
    if key is not None and not KEY.fullmatch(key):
        return None
    preferences = headers.get(b"prefer", b"")
    if len(preferences) > MAX_PREFER_CHARACTERS:
        return None
    return Post(
        order_id=address[1],
        token=head.token,
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


async def _message(receive: Receive) -> NewMessage:
    return bodies.validated(NewMessage, await bodies.received(receive, limit_bytes=bodies.MAX_BODY_BYTES))


def command(order_id: str, message: NewMessage, write: Write) -> ReadyCommand:
    """What `PostMessage(…).model_dump_json(exclude_none=True)` says, of fields that are all checked already, in a quarter of its time."""
    heading, caller = write.heading(OPERATION, order_id), write.caller
    asked: dict[str, object] = {"order_id": order_id, "caller": _fields(caller), "text": message.text}
    if message.after is not None:
        asked["after"] = message.after
    if message.seen_seq is not None:
        asked["seen_seq"] = message.seen_seq
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
    return ReadyCommand(
        id=heading["id"],
        stamp=heading["stamp"],
        operation=OPERATION,
        order_id=order_id,
        body=body,
        cost=Cost(1, kept_bytes(body)),
    )


def _fields(caller: Caller) -> dict[str, str]:
    fields: dict[str, str] = {"role": caller.role, "id": caller.id, "name": caller.name}
    if caller.seller_id is not None:
        fields["seller_id"] = caller.seller_id
    if caller.order_id is not None:
        fields["order_id"] = caller.order_id
    return fields
