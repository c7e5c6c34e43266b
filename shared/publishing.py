"""Publishing to RabbitMQ: persistent, mandatory, confirmed, bounded in time.

RabbitMQ's and the libraries' defaults that would lose messages are all said here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractRobustChannel, AbstractRobustConnection
from pamqp.commands import Basic

from shared.envelope import MEDIA_TYPE
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

# What a dead or dying connection raises while something waits on it.
BROKER_AWAY = (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, ConnectionError, TimeoutError)

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
