"""Says that an order snapshot was not taken: to who asks (intake), to who listens (an event), and to the gateway that waits."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aio_pika.abc import AbstractIncomingMessage

from services.threads import answers
from services.threads.intake import Intake
from services.threads.order_versions import OrderRefused
from services.threads.replies import Replies
from shared import topology
from shared.commands import CommandOutcome, routing_key
from shared.delivery import WorkQueue, publisher_of
from shared.envelope import MAX_MESSAGE_BYTES
from shared.errors import CannotProcess, Problem, problem
from shared.events import OrderRejected, RefusedOrder
from shared.fields import COMMAND_ID_PATTERN, MAX_EXACT_INTEGER, ORDER_ID_PATTERN
from shared.publishing import Outgoing, Publisher

GATEWAY: Final = "gateway"
DETAIL_CHARACTERS: Final = 500
NAME_CHARACTERS: Final = 255
OURS: Final = "An error on our side, and no fault of the order. An operator can have it processed again."
NOT_SHOWN: Final = "The detail is in the dead letter, for an operator."
# What the publisher is not at fault for, and what says nothing of the order that it names.
OUR_FAULTS: Final = frozenset({"defect", "retries_exhausted"})
NOT_OF_THE_ORDER: Final = frozenset({"wrong_publisher"})

_ORDER_ID: Final = re.compile(ORDER_ID_PATTERN[1:-1])
_COMMAND_ID: Final = re.compile(COMMAND_ID_PATTERN[1:-1])


@dataclass(frozen=True, slots=True)
class Named:
    """What an event that was refused is about, as far as it can be read; nothing here can be an address or a name."""

    order_id: str | None = None
    version: int | None = None
    event_id: str | None = None


def asked_by(message: AbstractIncomingMessage, queue: WorkQueue) -> str | None:
    """The id under which a gateway waits, or can ask, for what becomes of its `PUT`; None for all else. Replies go to gateways alone."""
    asked = message.correlation_id or ""
    is_asked = publisher_of(message, queue) == GATEWAY and _COMMAND_ID.fullmatch(asked)
    return asked if is_asked else None


class OrderRefusals:
    """May say the same twice: the event has the same id, and the intake the same content."""

    def __init__(self, *, intake: Intake, publisher: Publisher, replies: Replies, queue: WorkQueue) -> None:
        self._intake, self._publisher, self._replies, self._queue = intake, publisher, replies, queue

    async def say(self, message: AbstractIncomingMessage, refusal: CannotProcess) -> None:
        """Returns once the refusal is kept and its event confirmed, however long RabbitMQ takes."""
        named = read_named(message.body)
        if named.order_id is not None and named.version is not None and refusal.reason not in NOT_OF_THE_ORDER:
            said = CannotProcess(refusal.reason, public_detail(refusal))
            await self._intake.refused(named.order_id, named.version, said, standing=_standing(refusal))
        asked = asked_by(message, self._queue)
        if asked is not None:
            self._replies.send(message.reply_to, _outcome(asked, named.order_id, refusal))
        await self._publisher.publish_until_confirmed(self._event(message, named, refusal))

    def _event(self, message: AbstractIncomingMessage, named: Named, refusal: CannotProcess) -> Outgoing:
        data = RefusedOrder(
            order_id=named.order_id,
            version=named.version,
            event_id=named.event_id,
            message_id=_id(message.message_id),
            publisher=_id(publisher_of(message, self._queue)),
            reason=refusal.reason,
            detail=public_detail(refusal),
        )
        event = OrderRejected(id=_event_id(message, refusal), subject=named.order_id, time=datetime.now(UTC), data=data)
        body = event.model_dump_json(exclude_none=True).encode()
        key = routing_key(event)
        return Outgoing(topology.EVENTS, key, body, event.id, mandatory=False, type=event.type, timestamp=event.time)


def public_detail(refusal: CannotProcess) -> str:
    """The detail for the shop's services: a defect's is a traceback, and what looks like an address is not shown, whatever it is."""
    if refusal.reason in OUR_FAULTS:
        return OURS
    return NOT_SHOWN if "@" in refusal.detail else refusal.detail[:DETAIL_CHARACTERS]


def read_named(body: bytes) -> Named:
    """Never fails: what cannot be read is missing."""
    if len(body) > MAX_MESSAGE_BYTES:
        return Named()
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Named()
    data = _member(event, "data")
    order_id, version = _member(data, "order_id"), _member(data, "version")
    return Named(
        order_id=order_id if isinstance(order_id, str) and _ORDER_ID.fullmatch(order_id) else None,
        version=version if type(version) is int and 0 <= version <= MAX_EXACT_INTEGER else None,
        event_id=_id(_member(event, "id")),
    )


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _id(value: Any) -> str | None:
    """An id of somebody else's, where it is one line of at most 255 characters that holds no address."""
    is_one = isinstance(value, str) and 0 < len(value) <= NAME_CHARACTERS and value.isprintable() and "@" not in value
    return value if is_one else None


def _event_id(message: AbstractIncomingMessage, refusal: CannotProcess) -> str:
    """The same for each copy of one refused message, and for each time that it is refused for this reason."""
    said = hashlib.blake2b(message.body, digest_size=16)
    said.update(f"\0{message.message_id}\0{refusal.reason}".encode(errors="replace"))
    return f"refused-{said.hexdigest()}"


def _outcome(asked: str, order_id: str | None, refusal: CannotProcess) -> CommandOutcome:
    if refusal.reason in OUR_FAULTS:
        return answers.parked(asked, order_id)
    return answers.rejected(asked, order_id, _problem(refusal))


def _problem(refusal: CannotProcess) -> Problem:
    detail = f"{refusal.detail}."
    match refusal.reason:
        case "version_conflict":
            return problem("version_conflict", detail, state=_state(refusal))
        case "parties_changed":
            return problem("parties_changed", detail, state=_state(refusal))
        case "too_large":
            return problem("too_large", detail)
        case _:
            return problem("invalid_request", detail)


def _state(refusal: CannotProcess) -> dict[str, object] | None:
    return {"version": refusal.standing.version} if isinstance(refusal, OrderRefused) else None


def _standing(refusal: CannotProcess) -> dict[str, object] | None:
    """What stood when a snapshot was refused for contradicting it."""
    if not isinstance(refusal, OrderRefused):
        return None
    return {"version": refusal.standing.version, "digest": refusal.standing.digest}
