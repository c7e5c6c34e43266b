"""What a gateway and a shop do on the wire, for tests of threads alone: commands out, replies and events in."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from aio_pika import ExchangeType
from aio_pika.abc import AbstractIncomingMessage

from shared import topology
from shared.commands import OUTCOME, CommandEnvelope, CommandOutcome, routing_key
from shared.orders import OrderSnapshot, order_event, order_routing_key
from shared.publishing import Outgoing, Publisher
from tests.made import new_id
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually

REPLY_QUEUE = "parley.replies.test"
SAID_AT = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


class Wire:
    """A gateway's and a shop's ends of RabbitMQ."""

    def __init__(self, gateway: Publisher, shop: Publisher) -> None:
        self._gateway, self._shop = gateway, shop
        self.replies: dict[str, list[CommandOutcome]] = {}
        self.events: list[dict[str, Any]] = []
        self.notifications: list[dict[str, Any]] = []
        self.contacts: list[dict[str, Any]] = []
        self._news = asyncio.Event()

    async def order(self, order: OrderSnapshot, *, at: datetime = SAID_AT) -> None:
        """The order event of a shop that says when the order changed."""
        event = order_event(order, source="test-shop", now=at)
        await self.raw_order(event.model_dump_json().encode(), routing_key=order_routing_key(event))

    async def raw_order(self, body: bytes, *, routing_key: str = "order.updated") -> None:
        await self._shop.publish(Outgoing(topology.SHOP_ORDERS, routing_key, body, message_id=secrets.token_hex(8)))

    async def raw_command(self, body: bytes, *, routing_key: str) -> None:
        await self._gateway.publish(Outgoing(topology.COMMANDS, routing_key, body, message_id=secrets.token_hex(8)))

    async def put(self, order: OrderSnapshot, *, timeout_s: float = 20) -> CommandOutcome:
        """The order as a gateway publishes a `PUT`, and the reply."""
        asked = new_id()
        event = order_event(order, source="parley/gateway", now=datetime.now(UTC))
        await self._gateway.publish(
            Outgoing(
                topology.SHOP_ORDERS,
                order_routing_key(event),
                event.model_dump_json(exclude_none=True).encode(),
                message_id=secrets.token_hex(8),
                reply_to=REPLY_QUEUE,
                correlation_id=asked,
            )
        )
        await self.until(lambda: asked in self.replies, timeout_s=timeout_s)
        return self.replies[asked][-1]

    async def send(self, command: CommandEnvelope) -> None:
        """Publishes a command and asks for the reply."""
        await self._gateway.publish(
            Outgoing(
                topology.COMMANDS,
                routing_key(command),
                command.model_dump_json().encode(),
                message_id=f"{command.id}.{secrets.token_hex(4)}",
                reply_to=REPLY_QUEUE,
                correlation_id=command.id,
            )
        )

    async def ask(self, command: CommandEnvelope, *, timeout_s: float = 20) -> CommandOutcome:
        """Publishes a command and waits for its next reply."""
        known = len(self.replies.get(command.id, []))
        await self.send(command)
        await self.until(lambda: len(self.replies.get(command.id, [])) > known, timeout_s=timeout_s)
        return self.replies[command.id][-1]

    async def until(self, look: Callable[[], bool], *, timeout_s: float = 20) -> None:
        """Returns when `look` is true; it is asked again whenever something has come in."""
        async with asyncio.timeout(timeout_s):
            while not look():
                self._news.clear()
                await self._news.wait()

    async def on_reply(self, message: AbstractIncomingMessage) -> None:
        outcome = OUTCOME.validate_json(message.body)
        self.replies.setdefault(outcome.command_id, []).append(outcome)
        self._news.set()

    async def on_event(self, message: AbstractIncomingMessage) -> None:
        self.events.append(orjson.loads(message.body))
        self._news.set()

    async def on_notification(self, message: AbstractIncomingMessage) -> None:
        """Changed addresses apart from all else: one is told at each start."""
        event = orjson.loads(message.body)
        (self.contacts if event["type"] == "parley.contact.changed.v1" else self.notifications).append(event)
        self._news.set()

    def event_ids(self, kind: str = "parley.message.posted.v1") -> list[str]:
        return [event["id"] for event in self.events if event["type"] == kind]

    def told(self, kind: str) -> Callable[[], list[dict[str, Any]]]:
        """What the events of this type say, as of each call."""
        return lambda: [event["data"] for event in self.events if event["type"] == kind]


@asynccontextmanager
async def connected(vhost: Vhost) -> AsyncIterator[Wire]:
    """A wire to this virtual host, listening to replies, events and addressed events."""
    gateway = Publisher(vhost.url("gateway"), name="test-gateway")
    shop = Publisher(vhost.url("shop"), name="test-shop")
    gateway.start()
    shop.start()
    wire = Wire(gateway, shop)
    connection = await vhost.connect()
    async with connection:
        channel = await connection.channel()
        for exchange, key, listener in (
            (topology.REPLIES, REPLY_QUEUE, wire.on_reply),
            (topology.EVENTS, "#", wire.on_event),
            (topology.NOTIFICATIONS, "#", wire.on_notification),
        ):
            kind = ExchangeType.DIRECT if exchange == topology.REPLIES else ExchangeType.TOPIC
            source = await channel.declare_exchange(exchange, kind, durable=True)
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(source, key)
            await queue.consume(listener, no_ack=True)
        await eventually(lambda: gateway.is_connected and shop.is_connected)
        yield wire
        await gateway.close()
        await shop.close()
