"""Order events: FastStream takes them off `threads.orders`, and each snapshot is kept and projected."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog
from aio_pika import IncomingMessage
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from services.threads import answers, order_versions
from services.threads.announcements import Announcements
from services.threads.intake import Intake
from services.threads.order_refusals import GATEWAY, OrderRefusals, asked_by
from services.threads.order_versions import OrderRefused
from services.threads.orders import Kept, Orders, document_of
from services.threads.projection import Projection, order_update
from services.threads.replies import Replies
from shared import topology
from shared.connections import CONNECT_LIMIT_S, RECONNECT_S, with_options
from shared.contracts import cloudevents
from shared.delivery import Refusal, Settler, WorkQueue, publisher_of
from shared.envelope import read
from shared.errors import CannotProcess
from shared.fields import GIVEN
from shared.losses import NO_CONNECTION, loss_is_an_error
from shared.mongo import is_away, require_storable
from shared.orders import ORDER_EVENT, RELAYED_ORDER_EVENT, OrderEvent, OrderSnapshot
from shared.publishing import Publisher

log = structlog.get_logger(__name__)

QUEUE: Final = WorkQueue(
    topology.ORDERS_QUEUE, service="threads", publishers=frozenset({GATEWAY, topology.SHOP}), anonymous=True
)
PREFETCH: Final = 32
STOP_LIMIT_S: Final = 10.0
# Of all that an attempt asks for; one connection that nobody answers is given up sooner.
START_LIMIT_S: Final = 20.0


def queue_of(publishers: Iterable[str]) -> WorkQueue:
    """The queue, where these users of the shop's publish to it, beside the gateway."""
    return replace(QUEUE, publishers=frozenset({GATEWAY, *publishers}))


class OrderEvents:
    """Keeps the newest snapshot of each order. May run twice, and in any order."""

    def __init__(
        self, *, orders: Orders, projection: Projection, announcements: Announcements, publisher: Publisher
    ) -> None:
        self._orders, self._projection = orders, projection
        self._announcements, self._publisher = announcements, publisher

    async def take(
        self, snapshot: OrderSnapshot, *, source_time: str | None = None, traceparent: str | None = None
    ) -> Kept:
        """All of it or nothing: every document that the snapshot makes can be stored before the first one is.

        Raises OrderRefused for a snapshot that contradicts the one that stands.
        """
        require_storable(document_of(snapshot, source_time), *order_update(snapshot, source_time))
        kept = await self._orders.keep(snapshot, source_time=source_time)
        await self._say_what_changed(snapshot, traceparent=traceparent)
        if kept.stands:
            await self._projection.write_order(snapshot, source_time=source_time)
        return kept

    async def _say_what_changed(self, snapshot: OrderSnapshot, *, traceparent: str | None) -> None:
        """It is out before the snapshot is acknowledged, so whoever takes over where this process ends says it again."""
        for contact in await self._orders.contacts_since(snapshot):
            changed = self._announcements.of_contact(contact, now=datetime.now(UTC), traceparent=traceparent)
            await self._publisher.publish_until_confirmed(changed)


class AnsweredOrders:
    """Takes order events, and says of each what became of it. May run twice."""

    def __init__(self, *, events: OrderEvents, intake: Intake, refusals: OrderRefusals, replies: Replies) -> None:
        self._events, self._intake, self._refusals, self._replies = events, intake, refusals, replies

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Raises CannotProcess for what is no order event, and for a snapshot that contradicts the one that stands.

        A gateway's `PUT` that contradicts it is answered instead, and is nothing for an operator.
        """
        event, asked = _read(message), asked_by(message, QUEUE)
        order_id, version = event.data.order_id, event.data.version
        try:
            kept = await self._events.take(
                event.data, source_time=_source_time_of(event, message), traceparent=event.traceparent
            )
        except OrderRefused as refusal:
            if asked is None:
                raise
            await self._refusals.say(message, refusal)
            return
        await self._intake.taken(order_id, version, stands=kept.stands, is_new=kept.is_new)
        if asked is not None:
            result: dict[str, object] = {"order_id": order_id, "version": version, "stands": kept.stands}
            self._replies.send(message.reply_to, answers.done(asked, order_id, result))


class OrderSubscription:
    """Consumes order events; it declares nothing, because the topology comes from the definitions."""

    def __init__(
        self,
        amqp_url: str,
        *,
        handler: AnsweredOrders,
        publisher: Publisher,
        on_refused: Refusal,
        on_dead: Callable[[], None] = lambda: None,
        queue: WorkQueue = QUEUE,
    ) -> None:
        self._channel = Channel(prefetch_count=PREFETCH)
        self._is_started = self._is_lost = False
        self._broker = RabbitBroker(
            with_options(amqp_url, "threads-orders"),
            fail_fast=True,
            reconnect_interval=RECONNECT_S,
            timeout=CONNECT_LIMIT_S,
            on_close=[self._lost],
            logger=None,
            graceful_timeout=STOP_LIMIT_S,
        )
        settler = Settler(publisher=publisher, queue=queue, away=is_away, on_dead=on_dead, on_refused=on_refused)

        @self._broker.subscriber(
            RabbitQueue(topology.ORDERS_QUEUE, declare=False),
            channel=self._channel,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            decoder=_undecoded,
        )
        async def on_order_event(body: bytes, message: RabbitMessage) -> None:
            await settler.settle(made_structured(message.raw_message), handler.handle)

    async def start(self) -> None:
        """Returns once it consumes, however long RabbitMQ takes and however an attempt fails; the library brings back what is lost later."""
        while not self._is_started:
            self._is_lost = False
            try:
                with loss_is_an_error():
                    async with asyncio.timeout(START_LIMIT_S):
                        await self._broker.start()
                self._is_started = not self._is_lost
            except NO_CONNECTION as error:
                log.warning("order_events_not_consumed", error=type(error).__name__)
            except Exception:
                log.exception("order_events_not_consumed")
            if not self._is_started:
                await self.stop()
                await asyncio.sleep(RECONNECT_S)

    async def _lost(self, connection: AbstractConnection | None, _: BaseException | None) -> None:
        """One that is lost before it consumes must not come back by itself: FastStream may have forgotten it, and `start` makes another."""
        if not self._is_started:
            self._is_lost = True
            if connection is not None:
                await connection.close()

    async def stop(self) -> None:
        """Takes nothing more; what is being handled may end. A connection that does not close in time is left to itself."""
        self._is_started = False
        try:
            with loss_is_an_error():
                async with asyncio.timeout(STOP_LIMIT_S):
                    await self._broker.stop()
        except Exception as error:
            log.warning("order_events_not_closed", error=type(error).__name__)

    async def is_consuming(self) -> bool:
        """Whether RabbitMQ delivers to us. May wait for as long as the connection is away.

        Asked only after the start: FastStream would open a second channel for whoever asks for one that is just being opened.
        """
        if not self._is_started:
            return False
        channel = await self._broker.config.channel_manager.get_channel(self._channel)
        underlay = await channel.get_underlay_channel()
        return not underlay.is_closed and bool(underlay.consumers)


def _read(message: AbstractIncomingMessage) -> OrderEvent:
    """The event. The gateway names the shop as the seller of what it sells itself, because earlier releases read that; nobody else may."""
    body = cloudevents.structured(message.body, content_type=message.content_type, headers=message.headers)
    if publisher_of(message, QUEUE) != GATEWAY:
        return read(ORDER_EVENT, body, context=GIVEN)
    relayed = read(RELAYED_ORDER_EVENT, body, context=GIVEN)
    return relayed.model_copy(update={"data": relayed.data.snapshot()})


def made_structured(message: IncomingMessage) -> IncomingMessage:
    """A binary event as a structured one, so that its copies and dead letters hold all of it. One that cannot be stays; handling it says why."""
    if cloudevents.is_binary(message.content_type, message.headers):
        with contextlib.suppress(CannotProcess):
            message.body = cloudevents.structured(
                message.body, content_type=message.content_type, headers=message.headers
            )
            message.content_type = cloudevents.STRUCTURED
    return message


def _source_time_of(event: OrderEvent, message: AbstractIncomingMessage) -> str | None:
    """The shop's moment of the change. The `time` of what the gateway publishes (`PUT`) is a clock of ours, and does not count."""
    is_ours = publisher_of(message, QUEUE) == GATEWAY
    return order_versions.source_time(event.data.updated_at, None if is_ours else event.time or message.timestamp)


async def _undecoded(message: RabbitMessage) -> bytes:
    """The body as it came: it is validated from its bytes, once."""
    return message.body
