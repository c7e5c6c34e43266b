"""Writes: a command, or an order's event, is published, confirmed, and its outcome waited for.

Within two seconds the caller has an answer or knows that RabbitMQ has none.
"""

import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import orjson
import structlog
from fastapi.responses import Response
from opentelemetry.trace import SpanKind

from services.gateway import problems
from services.gateway.costs import Cost, cost_of
from services.gateway.doubt import Doubt
from services.gateway.limits import WriteLimits
from services.gateway.metrics import Figures
from services.gateway.replies import Replies
from services.gateway.results import OrderTaken
from services.gateway.writes import Write
from shared import commands, topology, traces
from shared.commands import Command, CommandOutcome
from shared.envelope import MAX_MESSAGE_BYTES
from shared.errors import ProblemError, refuse
from shared.fields import OrderId
from shared.logs import logged
from shared.orders import OrderSnapshot, order_event, order_routing_key
from shared.publishing import NotPublished, Outgoing, Publisher, PublishUnknown, Refused

log = structlog.get_logger(__name__)

PUBLISH_DEADLINE_S: Final = 1.5
MAX_IN_FLIGHT: Final = 256
RETRY_AFTER_S: Final = 2
RETRY_AFTER_FULL_S: Final = 10
TOO_MUCH_WAITS: Final = "Nothing was written: as much as may be is waiting to be worked on. Try again later."
SOURCE: Final = "parley/gateway"


@dataclass(frozen=True, slots=True)
class ReadyCommand:
    """A command as it is published: its bytes, what RabbitMQ, the log and the answer say of it, and what its caller is charged."""

    id: str
    stamp: str
    operation: str
    order_id: str | None
    body: bytes
    cost: Cost

    def message(self, *, reply_to: str | None) -> Outgoing:
        """The stamp makes the message id unique among copies in flight: RabbitMQ's returns are told apart by it."""
        return Outgoing(
            exchange=topology.COMMANDS,
            routing_key=self.operation,
            body=self.body,
            message_id=f"{self.id}/{self.stamp}",
            reply_to=reply_to,
            correlation_id=self.id,
        )


def ready(command: Command) -> ReadyCommand:
    """The command with its bytes. posts.py makes those of the busiest one itself."""
    body = command.model_dump_json(exclude_none=True).encode()
    return ReadyCommand(
        id=command.id,
        stamp=command.stamp,
        operation=commands.routing_key(command),
        order_id=command.subject,
        body=body,
        cost=cost_of(command, body),
    )


class Commands:
    def __init__(self, *, publisher: Publisher, replies: Replies, limits: WriteLimits, figures: Figures) -> None:
        self._publisher, self._replies, self.limits, self._figures = publisher, replies, limits, figures
        self._doubt = Doubt(publisher)
        figures.unconfirmed.set_function(self._doubt.lasts_s)

    @property
    def can_publish(self) -> bool:
        """Whether a publish can be expected to be confirmed."""
        return self._publisher.is_connected and not self._doubt.lasts_s()

    def trouble(self) -> str | None:
        """Why nothing can be written, None where it can: said of what RabbitMQ confirms, not of the connection alone."""
        if not self._publisher.is_connected:
            return "RabbitMQ is away: nothing can be written"
        silent_s = self._doubt.lasts_s()
        return f"RabbitMQ has confirmed no publish for {silent_s:.0f} s: nothing can be written" if silent_s else None

    async def watch(self) -> None:
        """Until cancelled: sees to it that a RabbitMQ that confirms nothing is noticed without a caller, and one that does so again too."""
        await self._doubt.watch()

    async def answer(self, command: Command, write: Write) -> Response:
        """Publishes the command and answers with its outcome, or with 202 where that does not come within the caller's patience.

        Raises ProblemError: 429 where the caller writes too much, 503 where RabbitMQ did not confirm it.
        """
        return await self.answer_ready(ready(command), write)

    async def answer_ready(self, command: ReadyCommand, write: Write) -> Response:
        """The same for a command whose bytes are made."""
        charge = self.limits.take(write.caller, command.order_id, command.cost)
        started = time.monotonic()
        outcome = await self._outcome(command, write)
        if outcome is not None and (outcome.problem is None or outcome.problem.code != "not_found"):
            self.limits.found(charge)
        known = outcome or CommandOutcome(
            command_id=command.id, order_id=command.order_id, state="accepted", status=202
        )
        self._count(known, command.operation, started, write)
        response, said = _response(known, write), self.limits.headers(write.caller, command.order_id)
        response.raw_headers.extend((name.lower().encode(), value.encode()) for name, value in said.items())
        return response

    async def _outcome(self, command: ReadyCommand, write: Write) -> CommandOutcome | None:
        """What threads says within the caller's patience. Who would not wait has no answer sent to."""
        return await self._awaited(command.message(reply_to=None), write, key=write.key or command.id)

    async def _awaited(self, message: Outgoing, write: Write, *, key: str | None) -> CommandOutcome | None:
        patience_s, asked = write.preference.patience_s, message.correlation_id
        if patience_s <= 0 or asked is None:
            await self._publish(message, key=key)
            return None
        with self._replies.expecting(asked) as waiting:
            await self._publish(replace(message, reply_to=waiting.reply_to), key=key)
            return await waiting.outcome(within_s=patience_s)

    async def hand_over(self, command: Command) -> None:
        """Publishes the command, and leaves it at that. Raises ProblemError (503) where RabbitMQ did not confirm it."""
        await self._publish(ready(command).message(reply_to=None), key=None)
        log.info("write", operation=commands.routing_key(command), command_id=command.id, answer="accepted")

    async def answer_order(self, snapshot: OrderSnapshot, write: Write) -> Response:
        """Publishes the order's event and answers with what became of it, or with 202 where that does not come within the caller's patience.

        May be repeated freely: its version says which is which. Raises ProblemError: 413, and 503 where RabbitMQ did not confirm it.
        """
        event, started = order_event(snapshot, source=SOURCE, now=datetime.now(UTC)), time.monotonic()
        body, operation = event.model_dump_json(exclude_none=True).encode(), order_routing_key(event)
        if len(body) > MAX_MESSAGE_BYTES:
            raise refuse("too_large", f"The order may have at most {MAX_MESSAGE_BYTES} bytes.")
        asked = write.ids.new(write.caller.key)
        message = Outgoing(
            exchange=topology.SHOP_ORDERS,
            routing_key=operation,
            body=body,
            message_id=f"{event.id}/{uuid.uuid4().hex}",
            correlation_id=asked,
        )
        outcome = await self._awaited(message, write, key=None)
        known = outcome or CommandOutcome(command_id=asked, order_id=snapshot.order_id, state="accepted", status=202)
        self._count(known, operation, started, write)
        return _order_taken(snapshot, write) if known.state == "accepted" else _response(known, write)

    async def _publish(self, message: Outgoing, *, key: str | None) -> None:
        try:
            await self._doubt.trial(self._traced(message))
        except Refused:
            self._figures.publish_failures.labels(reason="full").inc()
            log.warning("queue_full", exchange=message.exchange)
            raise problems.unavailable(TOO_MUCH_WAITS, retry_after_s=RETRY_AFTER_FULL_S) from None
        except NotPublished as error:
            self._figures.publish_failures.labels(reason="refused").inc()
            log.warning("publish_refused", exchange=message.exchange, reason=str(error))
            raise problems.unavailable("Nothing was written. Try again soon.", retry_after_s=RETRY_AFTER_S) from None
        except PublishUnknown as error:
            self._figures.publish_failures.labels(reason="unknown").inc()
            log.warning("publish_unknown", exchange=message.exchange, reason=str(error))
            raise _unknown(key) from None

    async def _traced(self, message: Outgoing) -> None:
        if not traces.is_kept():
            return await self._publisher.publish(message, deadline_s=PUBLISH_DEADLINE_S)
        with traces.span(f"publish {message.exchange}", kind=SpanKind.PRODUCER):
            return await self._publisher.publish(message, deadline_s=PUBLISH_DEADLINE_S)

    def _count(self, outcome: CommandOutcome, operation: str, started: float, write: Write) -> None:
        said = outcome.problem.code if outcome.problem is not None else outcome.state
        took_s = time.monotonic() - started
        self._figures.write(operation, said, took_s)
        log.info(
            "write",
            operation=operation,
            command_id=outcome.command_id,
            order=logged(outcome.order_id),
            trace_id=traces.trace_id(write.traceparent),
            role=write.caller.role,
            answer=said,
            ms=round(took_s * 1000, 1),
        )


def _unknown(key: str | None) -> ProblemError:
    if key is None:
        return problems.unavailable(
            "It was sent, and no confirmation came back. Repeat it: it is done once.",
            retry_after_s=RETRY_AFTER_S,
            outcome="unknown",
        )
    return problems.unavailable(
        "It was sent, and no confirmation came back. Repeat it with this Idempotency-Key: it is done once.",
        retry_after_s=RETRY_AFTER_S,
        outcome="unknown",
        idempotency_key=key,
    )


class Accepted(Response):
    """202: the answer that comes most often, with its headers as they go out."""

    def __init__(self, outcome: CommandOutcome, applied: str | None) -> None:
        self.status_code, self.background, self.body = 202, None, outcome.model_dump_json().encode()
        self.raw_headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(self.body)),
            (b"location", b"/v1/commands/%b" % outcome.command_id.encode()),
            (b"retry-after", b"1"),
        ]
        if applied is not None:
            self.raw_headers.append((b"preference-applied", applied.encode()))


def _order_taken(snapshot: OrderSnapshot, write: Write) -> Response:
    taken = OrderTaken(order_id=snapshot.order_id, version=snapshot.version)
    headers = {"Location": intake_path(snapshot.order_id, snapshot.version), "Retry-After": "1"}
    applied = write.preference.applied(accepted_only=True)
    if applied is not None:
        headers["Preference-Applied"] = applied
    return Response(taken.model_dump_json(), status_code=202, media_type="application/json", headers=headers)


def intake_path(order_id: OrderId, version: int) -> str:
    """Where services ask what became of this version of the order."""
    return f"/v1/orders/{quote(order_id, safe=':~')}/intake/{version}"


def _response(outcome: CommandOutcome, write: Write) -> Response:
    """The outcome as HTTP says it; `Preference-Applied` where a preference had a part in it."""
    applied = write.preference.applied(accepted_only=outcome.state == "accepted")
    if outcome.state == "accepted":
        return Accepted(outcome, applied)
    headers = {} if applied is None else {"Preference-Applied": applied}
    if outcome.problem is not None:
        return problems.answer(outcome.problem, headers=headers)
    etag = (outcome.result or {}).get("etag")
    if isinstance(etag, str):
        headers["ETag"] = etag
    return Response(
        orjson.dumps(outcome.result), status_code=outcome.status, media_type="application/json", headers=headers
    )
