"""What becomes of a delivery: acknowledged, retried later, or dead-lettered, each copy confirmed before what it is a copy of is acknowledged."""

import asyncio
import contextlib
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeGuard

import structlog
from aio_pika.abc import AbstractIncomingMessage

from shared import topology, undecodable
from shared.envelope import MEDIA_TYPE
from shared.errors import CannotProcess, RetryLater
from shared.losses import NO_CONNECTION, loss_is_an_error
from shared.publishing import HOLD_PAUSE_MAX_S, HOLD_PAUSE_S, HeaderValue, Outgoing, Publisher

log = structlog.get_logger(__name__)

MAX_DETAIL_CHARACTERS: Final = 4_000

# The headers of a message must fit into one frame (128 kB by default), and a copy has more of them than what it is a copy of.
MAX_KEPT_HEADERS_BYTES: Final = 8_192
HEADER_OVERHEAD_BYTES: Final = 8
MAX_NAME_BYTES: Final = 255
MAX_HEADER_NUMBER: Final = 2**63 - 1
MAX_COUNT: Final = 1_000_000
LEFT_OUT: Final = "x-parley-headers-left-out"
OUR_HEADERS: Final = ("x-publisher", "x-attempt", "x-waits", LEFT_OUT)
RABBITMQS_COUNTERS: Final = ("x-delivery-count", "x-death")

OPERATOR: Final = "operator"
# In `x-publisher`: the first publisher said no `user_id`.
NOT_SAID: Final = ""


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """A queue that a service works on: where its retries and dead letters go, and who may have published what is in it.

    `anonymous`: also who does not say so (`user_id`), because RabbitMQ's permissions let nobody else write there.
    """

    name: str
    service: str
    publishers: frozenset[str]
    anonymous: bool = False

    @property
    def retry_exchange(self) -> str:
        return topology.WORK_QUEUES[self.name]


def attempts(message: AbstractIncomingMessage) -> int:
    """How many retry tiers the message has passed."""
    return _number(message.headers, "x-attempt")


def redeliveries(message: AbstractIncomingMessage) -> int:
    """How often a quorum queue has delivered this message before without an acknowledgement."""
    return _number(message.headers, "x-delivery-count")


def publisher_of(message: AbstractIncomingMessage, queue: WorkQueue) -> str | None:
    """Who published the message first, as RabbitMQ vouches (`user_id`); None where the publisher did not say.

    A copy that the service itself retried, or an operator replayed, names the first publisher in `x-publisher`; nobody else's
    word is taken for that.
    """
    republished = message.user_id in (queue.service, OPERATOR)
    return original_publisher(message) if republished else message.user_id


def require_publisher(message: AbstractIncomingMessage, queue: WorkQueue) -> None:
    """What is asked first of every delivery. Raises CannotProcess unless all of it could be decoded, and RabbitMQ vouches for an allowed publisher."""
    problem = undecodable.problem_of(message.headers)
    if problem is not None:
        raise CannotProcess("undecodable", problem)
    publisher = publisher_of(message, queue)
    if publisher not in queue.publishers and not (publisher is None and queue.anonymous):
        allowed = f"user_id must be one of {', '.join(sorted(queue.publishers))}"
        raise CannotProcess("wrong_publisher", f"{allowed}, or not be said" if queue.anonymous else allowed)


def dead_letter(message: AbstractIncomingMessage, queue: WorkQueue, reason: str, detail: str) -> Outgoing:
    """The message as it goes to the dead-letter queue: its body and headers, and why, when, after how many attempts, from where."""
    headers: dict[str, HeaderValue] = {
        **kept_headers(message.headers),
        "x-parley-reason": reason,
        "x-parley-detail": detail[:MAX_DETAIL_CHARACTERS],
        "x-parley-at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "x-parley-attempts": attempts(message) + 1,
        "x-parley-origin": f"{message.exchange}/{message.routing_key}",
        "x-publisher": publisher_of(message, queue) or NOT_SAID,
        "x-parley-service": queue.service,
    }
    return _copy(message, topology.DEAD, queue.name, headers)


def retry(message: AbstractIncomingMessage, queue: WorkQueue) -> Outgoing | None:
    """The message on its way through the next retry tier, or None where all are used up."""
    attempt = attempts(message)
    if attempt >= len(topology.RETRY_TIERS_MS):
        return None
    tier = topology.retry_queue(queue.name, topology.RETRY_TIERS_MS[attempt])
    return _copy(message, queue.retry_exchange, tier, retry_headers(message, queue, attempt + 1))


def retry_headers(message: AbstractIncomingMessage, queue: WorkQueue, attempt: int) -> dict[str, HeaderValue]:
    """Who published it first is kept in `x-publisher`: a retried copy carries this service's own user_id."""
    return {
        **kept_headers(message.headers),
        "x-attempt": attempt,
        "x-publisher": publisher_of(message, queue) or NOT_SAID,
    }


def original_publisher(message: AbstractIncomingMessage) -> str | None:
    """Whom a copy of ours names as its first publisher, None where that one did not say; else who published the message."""
    kept = message.headers.get("x-publisher")
    if kept == NOT_SAID:
        return None
    return kept if isinstance(kept, str) and len(kept.encode()) <= MAX_NAME_BYTES else message.user_id


def _copy(
    message: AbstractIncomingMessage, exchange: str, routing_key: str, headers: Mapping[str, HeaderValue]
) -> Outgoing:
    return Outgoing(
        exchange=exchange,
        routing_key=routing_key,
        body=message.body,
        message_id=message.message_id or f"{uuid.uuid4()}",
        headers=headers,
        content_type=message.content_type or MEDIA_TYPE,
        reply_to=message.reply_to,
        correlation_id=message.correlation_id,
        type=message.type,
        timestamp=message.timestamp,
    )


def kept_headers(headers: Mapping[str, object]) -> dict[str, HeaderValue]:
    """The headers that a copy keeps, ours before all others: 8 kB of them, texts, numbers and yes or no. How many it leaves out is said in one more.

    RabbitMQ's own counters are made anew where the copy goes.
    """
    kept: dict[str, HeaderValue] = {}
    room, left_out = MAX_KEPT_HEADERS_BYTES, 0
    for name, value in sorted(headers.items(), key=lambda header: header[0] not in OUR_HEADERS):
        if name in RABBITMQS_COUNTERS or name == undecodable.MARK:
            continue
        size = _size(name, value) if _is_plain(value) else room + 1
        if _is_plain(value) and size <= room:
            kept[name] = value
            room -= size
        else:
            left_out += 1
    return kept | {LEFT_OUT: _number(headers, LEFT_OUT) + left_out} if left_out else kept


def _size(name: str, value: HeaderValue) -> int:
    return len(name.encode()) + len(str(value).encode()) + HEADER_OVERHEAD_BYTES


def _is_plain(value: object) -> TypeGuard[HeaderValue]:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) <= MAX_HEADER_NUMBER)


def _number(headers: Mapping[str, object], name: str) -> int:
    """A count of ours or of RabbitMQ's; 0 where there is none, or what somebody else wrote cannot be one."""
    value = headers.get(name, 0)
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else 0


Work = Callable[[AbstractIncomingMessage], Awaitable[None]]
Refusal = Callable[[AbstractIncomingMessage, CannotProcess], Awaitable[None]]


async def _untold(_message: AbstractIncomingMessage, _refusal: CannotProcess) -> None:
    """Nobody but the operator hears of a refusal."""


class Settler:
    """Runs the work on one delivery and settles it; the one place where a consumer's errors become acknowledgements.

    Done: acknowledged. RetryLater: the next tier, then dead. CannotProcess: dead, with the reason. `away` errors (a server is not
    there): the delivery is held and tried again, which costs it no attempt and pauses the consumer. Anything else is a defect: dead,
    with its traceback. A delivery is acknowledged only after its copy is confirmed elsewhere.
    """

    def __init__(
        self,
        *,
        publisher: Publisher,
        queue: WorkQueue,
        away: Callable[[Exception], bool],
        on_dead: Callable[[], None] = lambda: None,
        on_refused: Refusal = _untold,
    ) -> None:
        """`away` says of an error whether a server is not there. `on_dead` is called for each delivery that is given up, to be counted.

        `on_refused` tells others of it, and may run twice: it ends before the dead letter goes out.
        """
        self._publisher, self._queue, self._away, self._on_dead = publisher, queue, away, on_dead
        self._on_refused = on_refused

    async def settle(self, message: AbstractIncomingMessage, work: Work) -> None:
        outgoing = await self._outcome(message, work)
        if outgoing is not None:
            await self._publisher.publish_until_confirmed(outgoing)
        with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
            await message.ack()

    async def _outcome(self, message: AbstractIncomingMessage, work: Work) -> Outgoing | None:
        """What must be published before the delivery may be acknowledged."""
        try:
            require_publisher(message, self._queue)
            await self._held_while_away(lambda: work(message))
            return None
        except RetryLater as error:
            later = retry(message, self._queue)
            return later or await self._dead(message, CannotProcess("retries_exhausted", error.reason))
        except CannotProcess as error:
            return await self._dead(message, error)
        except Exception:
            return await self._dead(message, CannotProcess("defect", traceback.format_exc()))

    async def _held_while_away(self, work: Callable[[], Awaitable[None]]) -> None:
        pause_s = HOLD_PAUSE_S
        while True:
            try:
                return await work()
            except Exception as error:
                if not self._away(error):
                    raise
                log.warning("held_while_away", queue=self._queue.name, error=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, HOLD_PAUSE_MAX_S)

    async def _dead(self, message: AbstractIncomingMessage, refusal: CannotProcess) -> Outgoing:
        log.error("dead_lettered", queue=self._queue.name, message_id=message.message_id, reason=refusal.reason)
        self._on_dead()
        try:
            await self._held_while_away(lambda: self._on_refused(message, refusal))
        except Exception:
            log.exception("refusal_not_told", queue=self._queue.name, reason=refusal.reason)
        return dead_letter(message, self._queue, refusal.reason, refusal.detail)
