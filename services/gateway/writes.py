"""How a write is asked: by whom, under which key, and with how much patience; and the heading of its command."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final, TypedDict

from fastapi import Depends, Header, Request

from services.gateway import prefer, problems
from services.gateway.auth import SignedInCaller
from services.gateway.command_ids import CommandIds, uuid7
from services.gateway.prefer import Preference
from shared import etags, traces
from shared.callers import Caller
from shared.errors import FieldError
from shared.fields import OrderId
from shared.tokens import SignedIn

POST: Final = "message.post"
TRACEPARENT_CHARACTERS: Final = 55


class Heading(TypedDict):
    """What the envelope of every command says."""

    id: str
    stamp: str
    time: datetime
    subject: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something."""

    signed_in: SignedIn
    ids: CommandIds
    key: str | None = None
    preference: Preference = prefer.NONE
    traceparent: str | None = None

    @property
    def caller(self) -> Caller:
        return self.signed_in.caller

    def heading(self, operation: str, order_id: OrderId | None = None, *, key: str | None = None) -> Heading:
        """The heading of this write's command. `key` stands in for an Idempotency-Key where the body brings one."""
        command_id = self._id(operation, order_id, key or self.key)
        return heading(command_id, order_id=order_id, traceparent=self.traceparent)

    def _id(self, operation: str, order_id: OrderId | None, key: str | None) -> str:
        """The id of this write. A login that acts for several sellers has keys of its own for each of them.

        Not for a post: an order is one seller's, so threads tells those apart; and its id stays what earlier releases made of it, because
        a post that one release took and another was sent again would be there twice.
        """
        if key is None:
            return self.ids.new(self.caller.key)
        seller_id = self.caller.seller_id
        named = operation if seller_id is None or operation == POST else f"{operation} {seller_id}"
        return self.ids.for_key(self.caller.key, named, order_id, key)


def heading(command_id: str, *, order_id: OrderId | None = None, traceparent: str | None = None) -> Heading:
    """A heading of this moment, in MongoDB's precision of milliseconds."""
    now = datetime.now(UTC)
    return {
        "id": command_id,
        "stamp": str(uuid7()),
        "time": now.replace(microsecond=now.microsecond // 1000 * 1000),
        "subject": order_id,
        "traceparent": traceparent,
    }


IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x20-\x7e]+$",
        description="Names this write: a repetition under the same key is the same write and gets the same answer.",
        examples=["0b6f2c1e-1"],
    ),
]
Prefer = Annotated[
    str | None,
    Header(
        alias="Prefer",
        max_length=200,
        description="`respond-async`: 202 at once. `wait=n`: wait up to n seconds (at most 30; 1.5 without it) for the outcome.",
        examples=["wait=10"],
    ),
]
IfMatchHeader = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=etags.MAX_CHARACTERS,
        json_schema_extra={"pattern": r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'},
        description="The dispute's ETag as you saw it, or several; refused with 412 where the dispute is another one by now. A weak one never matches.",
        examples=['"none"'],
    ),
]


async def _if_match(request: Request, _first: IfMatchHeader = None) -> str | None:
    """The tags as threads compares them. One strong tag is said as it was sent, which is all that an older release of threads understands."""
    lines = request.headers.getlist("if-match")
    if not lines:
        return None
    tags = etags.read(", ".join(lines))
    if tags is None:
        raise problems.invalid_fields([FieldError(field="If-Match", message="must be * or a list of entity tags")])
    return ", ".join(tags)


IfMatch = Annotated[str | None, Depends(_if_match)]


async def _write(
    request: Request, signed_in: SignedInCaller, idempotency_key: IdempotencyKey = None, prefer_: Prefer = None
) -> Write:
    if len(request.headers.getlist("idempotency-key")) > 1:
        raise problems.invalid_fields([FieldError(field="Idempotency-Key", message="must be given once")])
    return Write(
        signed_in=signed_in,
        ids=request.app.state.parts.command_ids,
        key=idempotency_key,
        preference=prefer.read(request.headers.getlist("prefer")),
        traceparent=traceparent_of(request.headers.get("traceparent", "")),
    )


async def _write_without_key(request: Request, signed_in: SignedInCaller, prefer_: Prefer = None) -> Write:
    return await _write(request, signed_in, None, prefer_)


WriteRequest = Annotated[Write, Depends(_write)]
ImportRequest = Annotated[Write, Depends(_write_without_key)]


def traceparent_of(value: str) -> str | None:
    """The span that this request is in, else the caller's own trace (W3C Trace Context) where its header is well-formed."""
    return traces.current() or (_traceparent(value) if value else None)


def _traceparent(value: str) -> str | None:
    parts = value.split("-")
    hexadecimal = all(set(part) <= set("0123456789abcdef") for part in parts)
    good = len(value) == TRACEPARENT_CHARACTERS and [len(part) for part in parts] == [2, 32, 16, 2] and hexadecimal
    return value if good else None
