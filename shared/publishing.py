"""Publishing to RabbitMQ: persistent, mandatory, confirmed, bounded in time.

RabbitMQ's and the libraries' defaults that would lose messages are all said here.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import aiormq
import aiormq.abc
import structlog
from pamqp.commands import Basic

from shared.connections import EndOfConnection, ended, keep_connected, opened_channel, user_of
from shared.envelope import MEDIA_TYPE
from shared.losses import end, in_background, loss_is_an_error

log = structlog.get_logger(__name__)

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
    """A message to publish. `message_id` is the same in copies of one message; `type` and `timestamp` are those of the event in it.

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
    type: str | None = None
    timestamp: datetime | None = None


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
        self._channel: aiormq.Channel | None = None
        self._is_there = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._connecting = in_background(
            keep_connected(self._url, self._name, self._serve), name=f"{self._name} connects"
        )

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        """A channel that RabbitMQ closes (what was published to is not there, or not allowed) takes its connection along."""
        self._channel = channel = await opened_channel(connection, publisher_confirms=True, on_return_raises=True)
        self._is_there.set()
        return await ended(connection, channel)

    async def connected_within(self, limit_s: float) -> None:
        """After `start`: returns when the first connection stands, or after this time; connecting goes on either way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._is_there.wait()

    async def connected(self) -> None:
        """Starts, and returns once connected: for tools, which have nothing to do before. Services only `start`."""
        self.start()
        await self._is_there.wait()

    async def close(self) -> None:
        if self._connecting is not None:
            await end(self._connecting)

    @property
    def is_connected(self) -> bool:
        """Whether publishing can be tried at all; a blocked connection counts as connected."""
        return self._channel is not None and not self._channel.is_closed

    async def trouble(self) -> str | None:
        """Why publishing would not work now, None where it would: a blocked connection (RabbitMQ's alarms) is one of the reasons."""
        if self._channel is None or self._channel.is_closed:
            return "not connected"
        try:
            async with asyncio.timeout(UNBLOCKED_LIMIT_S):
                await self._channel.connection.ready()
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
                    channel = self._open_channel()
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

    def _open_channel(self) -> aiormq.Channel:
        """Raises NotPublished where there is none."""
        if self._channel is None or self._channel.is_closed:
            raise NotPublished("RabbitMQ is not reachable")
        return self._channel

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
            message_type=message.type,
            timestamp=message.timestamp,
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
