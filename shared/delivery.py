"""Publishing with confirms and a deadline, and settling what was delivered: acknowledged, retried later, or dead-lettered.

RabbitMQ's and the libraries' defaults that would lose messages are all said here: persistent, mandatory, confirmed, bounded in time.
"""

import asyncio
import contextlib
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeGuard
from urllib.parse import unquote, urlsplit

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection
from pamqp.commands import Basic

from shared import topology
from shared.envelope import MEDIA_TYPE
from shared.errors import CannotProcess, RetryLater
from shared.losses import NO_CONNECTION, end, in_background, loss_is_an_error

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 10
RECONNECT_S: Final = 1
PUBLISH_DEADLINE_S: Final = 10.0
MAX_IN_FLIGHT: Final = 512
PERSISTENT: Final = 2
UNBLOCKED_LIMIT_S: Final = 0.2
HOLD_PAUSE_S: Final = 0.5
# Looking again is cheap, and a server that comes back should not find that nobody looks.
HOLD_PAUSE_MAX_S: Final = 1.0
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

# What a dead or dying connection raises while something waits on it.
BROKER_AWAY = (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, ConnectionError, TimeoutError)

OPERATOR: Final = "operator"

HeaderValue = str | int | bool | None


class NotPublished(Exception):
    """RabbitMQ did not take the message, for certain: publishing it again makes no second copy."""


class Refused(NotPublished):
    """RabbitMQ said no: the queue that the message is for is as long as it may be."""


class Unroutable(NotPublished):
    """No queue is bound for the message: the topology is not what it must be."""


class PublishUnknown(Exception):
    """The message went out and no confirm came back in time: it may or may not have been taken."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish. `message_id` is the same in copies of one message.

    RabbitMQ's returns name a publish by it: PipelinePublisher has only one mandatory publish on its way under one id, and a plain
    Publisher's callers must see to that themselves.
    """

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    content_type: str = MEDIA_TYPE
    reply_to: str | None = None
    correlation_id: str | None = None
    mandatory: bool = True
    persistent: bool = True


def with_options(amqp_url: str, name: str) -> str:
    """The URL with our heartbeat (a dead peer is noticed in half a minute, not three) and a name that operators see."""
    separator = "&" if "?" in amqp_url else "?"
    return f"{amqp_url}{separator}heartbeat={HEARTBEAT_S}&name={name}&reconnect_interval={RECONNECT_S}&fail_fast=0"


def user_of(amqp_url: str) -> str:
    """The RabbitMQ user in the URL, which RabbitMQ verifies as `user_id`."""
    return unquote(urlsplit(amqp_url).username or "guest")


class Publisher:
    """A connection that only publishes, so that a blocked or busy one stops no acknowledgement.

    Connects in the background: a service starts, and says that it is not ready, while RabbitMQ is away.
    """

    def __init__(
        self, amqp_url: str, *, name: str, deadline_s: float = PUBLISH_DEADLINE_S, in_flight: int = MAX_IN_FLIGHT
    ) -> None:
        self._url, self._name, self._deadline_s = amqp_url, name, deadline_s
        self._user = user_of(amqp_url)
        self._slots = asyncio.Semaphore(in_flight)
        self._connection: AbstractRobustConnection | None = None
        self._channel: AbstractRobustChannel | None = None
        self._connecting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._connecting = in_background(self._connect(), name=f"{self._name} connects")

    async def _connect(self) -> None:
        """Tries until the connection and its channel stand, however an attempt fails; aio-pika brings back what is lost after that."""
        while True:
            try:
                with loss_is_an_error():
                    return await self._connect_once()
            except NO_CONNECTION as error:
                log.warning("rabbitmq_not_connected", connection=self._name, error=type(error).__name__)
            except Exception:
                log.exception("rabbitmq_not_connected", connection=self._name)
            await asyncio.sleep(RECONNECT_S)

    async def _connect_once(self) -> None:
        """A connection that is lost before its channel is open comes back without one: so it is closed, and made anew."""
        connection = await aio_pika.connect_robust(with_options(self._url, self._name))
        try:
            self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        log.info("rabbitmq_connected", connection=self._name)

    async def connected_within(self, limit_s: float) -> None:
        """After `start`: returns when the first connection stands, or after this time; connecting goes on either way."""
        if self._connecting is not None:
            await asyncio.wait({self._connecting}, timeout=limit_s)

    async def connected(self) -> None:
        """Starts, and returns once connected: for tools, which have nothing to do before. Services only `start`."""
        await self._connect()

    async def close(self) -> None:
        if self._connecting is not None:
            await end(self._connecting)
        if self._connection is not None:
            await self._connection.close()

    @property
    def is_connected(self) -> bool:
        """Whether publishing can be tried at all; a blocked connection counts as connected."""
        return (
            self._connection is not None
            and self._channel is not None
            and self._connection.connected.is_set()
            and not self._channel.is_closed
        )

    async def trouble(self) -> str | None:
        """Why publishing would not work now, None where it would: a blocked connection (RabbitMQ's alarms) is one of the reasons."""
        transport = None if self._connection is None else self._connection.transport
        if not self.is_connected or transport is None:
            return "not connected"
        try:
            async with asyncio.timeout(UNBLOCKED_LIMIT_S):
                await transport.ready()
        except TimeoutError:
            return "blocked by RabbitMQ: it is out of memory or disk space"
        return None

    async def publish(self, message: Outgoing, *, deadline_s: float | None = None) -> None:
        """Returns once RabbitMQ has confirmed the message. For one caller that publishes one after another; for many: PipelinePublisher.

        Raises NotPublished (or Unroutable) where RabbitMQ certainly has not taken it, PublishUnknown where no answer came in time.
        """
        sent = False
        try:
            with loss_is_an_error():
                async with asyncio.timeout(deadline_s or self._deadline_s), self._slots:
                    channel = await self._open_channel()
                    sent = True
                    await self._send(channel, message)
        except (NotPublished, asyncio.CancelledError):
            raise
        except aiormq.exceptions.PublishError as error:
            raise Unroutable(f"nothing is bound to {message.exchange} for {message.routing_key}") from error
        except aiormq.exceptions.DeliveryError as error:
            raise Refused("RabbitMQ refused the message: its queue is full") from error
        except BROKER_AWAY as error:
            if sent:
                raise PublishUnknown("no confirm came back from RabbitMQ") from error
            raise NotPublished("RabbitMQ is not reachable") from error

    async def _open_channel(self) -> aiormq.Channel:
        if not self.is_connected or self._channel is None:
            raise NotPublished("RabbitMQ is not reachable")
        channel = await self._channel.get_underlay_channel()
        if not isinstance(channel, aiormq.Channel):
            raise NotPublished("RabbitMQ's channel is being replaced")
        return channel

    async def _send(self, channel: aiormq.Channel, message: Outgoing) -> None:
        """`wait=False` leaves out a drain of the socket per message, which halves the cost; the confirm is awaited all the same."""
        await channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            properties=self._properties(message),
            mandatory=message.mandatory,
            wait=False,
        )

    def _properties(self, message: Outgoing) -> Basic.Properties:
        return Basic.Properties(
            content_type=message.content_type,
            headers=dict(message.headers),
            delivery_mode=PERSISTENT if message.persistent else 1,
            message_id=message.message_id,
            user_id=self._user,
            reply_to=message.reply_to,
            correlation_id=message.correlation_id,
        )

    async def publish_until_confirmed(self, message: Outgoing) -> None:
        """Publishes, again and again while RabbitMQ is away. For what must be out before a delivery may be acknowledged."""
        pause_s = HOLD_PAUSE_S
        while True:
            try:
                return await self.publish(message)
            except (NotPublished, PublishUnknown) as error:
                log.warning("publish_repeated", exchange=message.exchange, reason=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, HOLD_PAUSE_MAX_S)


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """A queue that a service works on: where its retries and dead letters go, and who may have published what is in it."""

    name: str
    service: str
    publishers: frozenset[str]

    @property
    def retry_exchange(self) -> str:
        return topology.WORK_QUEUES[self.name]


def attempts(message: AbstractIncomingMessage) -> int:
    """How many retry tiers the message has passed."""
    return _number(message.headers, "x-attempt")


def redeliveries(message: AbstractIncomingMessage) -> int:
    """How often a quorum queue has delivered this message before without an acknowledgement."""
    return _number(message.headers, "x-delivery-count")


def require_publisher(message: AbstractIncomingMessage, queue: WorkQueue) -> None:
    """Raises CannotProcess unless RabbitMQ vouches (`user_id`) that an allowed user published the message.

    A copy that the service itself retried, or an operator replayed, names the first publisher in `x-publisher`; nobody else's
    word is taken for that.
    """
    republished = message.user_id in (queue.service, OPERATOR)
    publisher = original_publisher(message) if republished else message.user_id
    if publisher not in queue.publishers:
        raise CannotProcess("wrong_publisher", f"user_id must be one of {', '.join(sorted(queue.publishers))}")


def dead_letter(message: AbstractIncomingMessage, queue: WorkQueue, reason: str, detail: str) -> Outgoing:
    """The message as it goes to the dead-letter queue: its body and headers, and why, when, after how many attempts, from where."""
    headers: dict[str, HeaderValue] = {
        **kept_headers(message.headers),
        "x-parley-reason": reason,
        "x-parley-detail": detail[:MAX_DETAIL_CHARACTERS],
        "x-parley-at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "x-parley-attempts": attempts(message) + 1,
        "x-parley-origin": f"{message.exchange}/{message.routing_key}",
        "x-publisher": original_publisher(message),
        "x-parley-service": queue.service,
    }
    return _copy(message, topology.DEAD, queue.name, headers)


def retry(message: AbstractIncomingMessage, queue: WorkQueue) -> Outgoing | None:
    """The message on its way through the next retry tier, or None where all are used up."""
    attempt = attempts(message)
    if attempt >= len(topology.RETRY_TIERS_MS):
        return None
    tier = topology.retry_queue(queue.name, topology.RETRY_TIERS_MS[attempt])
    return _copy(message, queue.retry_exchange, tier, retry_headers(message, attempt + 1))


def retry_headers(message: AbstractIncomingMessage, attempt: int) -> dict[str, HeaderValue]:
    """Who published it first is kept in `x-publisher`: a retried copy carries this service's own user_id."""
    return {
        **kept_headers(message.headers),
        "x-attempt": attempt,
        "x-publisher": original_publisher(message),
    }


def original_publisher(message: AbstractIncomingMessage) -> str | None:
    kept = message.headers.get("x-publisher")
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
    )


def kept_headers(headers: Mapping[str, object]) -> dict[str, HeaderValue]:
    """The headers that a copy keeps, ours before all others: 8 kB of them, texts, numbers and yes or no. How many it leaves out is said in one more.

    RabbitMQ's own counters are made anew where the copy goes.
    """
    kept: dict[str, HeaderValue] = {}
    room, left_out = MAX_KEPT_HEADERS_BYTES, 0
    for name, value in sorted(headers.items(), key=lambda header: header[0] not in OUR_HEADERS):
        if name in RABBITMQS_COUNTERS:
            continue
        size = len(name.encode()) + len(str(value).encode()) + HEADER_OVERHEAD_BYTES
        if _is_plain(value) and size <= room:
            kept[name] = value
            room -= size
        else:
            left_out += 1
    return kept | {LEFT_OUT: _number(headers, LEFT_OUT) + left_out} if left_out else kept


def _is_plain(value: object) -> TypeGuard[HeaderValue]:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) <= MAX_HEADER_NUMBER)


def _number(headers: Mapping[str, object], name: str) -> int:
    """A count of ours or of RabbitMQ's; 0 where there is none, or what somebody else wrote cannot be one."""
    value = headers.get(name, 0)
    return value if isinstance(value, int) and 0 <= value <= MAX_COUNT else 0


Work = Callable[[AbstractIncomingMessage], Awaitable[None]]


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
    ) -> None:
        """`away` says of an error whether a server is not there. `on_dead` is called for each delivery that is given up, to be counted."""
        self._publisher, self._queue, self._away, self._on_dead = publisher, queue, away, on_dead

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
            await self._held_while_away(message, work)
            return None
        except RetryLater as error:
            later = retry(message, self._queue)
            return later or self._dead(message, "retries_exhausted", error.reason)
        except CannotProcess as error:
            return self._dead(message, error.reason, error.detail)
        except Exception:
            return self._dead(message, "defect", traceback.format_exc())

    async def _held_while_away(self, message: AbstractIncomingMessage, work: Work) -> None:
        pause_s = HOLD_PAUSE_S
        while True:
            try:
                return await work(message)
            except Exception as error:
                if not self._away(error):
                    raise
                log.warning("held_while_away", queue=self._queue.name, error=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, HOLD_PAUSE_MAX_S)

    def _dead(self, message: AbstractIncomingMessage, reason: str, detail: str) -> Outgoing:
        log.error("dead_lettered", queue=self._queue.name, message_id=message.message_id, reason=reason)
        self._on_dead()
        return dead_letter(message, self._queue, reason, detail)
