"""Publishes orders as a shop's own service would: plain JSON over AMQP, confirmed, knowing nothing of Parley's code."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.exceptions import AMQPError, DeliveryError

from deploy.local.errors import StackError

DEMO_ORDERS = Path(__file__).with_name("demo_orders.json")
EXCHANGE = "shop.orders"
USER = "shop"
CONFIRM_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 10.0
AT_ONCE = 50

Snapshot = dict[str, Any]


@dataclass(frozen=True)
class Person:
    id: str
    name: str
    email: str | None
    locale: str


@dataclass(frozen=True)
class ShopOrder:
    """An order snapshot and the parts of it that the demo looks at. Without a seller, the shop sells it itself."""

    order_id: str
    customer: Person
    seller: Person | None
    is_guest: bool
    snapshot: Snapshot

    @classmethod
    def read(cls, snapshot: Snapshot) -> "ShopOrder":
        """Raises KeyError or TypeError for something that is no order snapshot."""
        customer, seller = snapshot["customer"], snapshot.get("seller")
        return cls(
            order_id=str(snapshot["order_id"]),
            customer=_person(customer),
            seller=None if seller is None else _person(seller),
            is_guest=bool(customer.get("guest")),
            snapshot=snapshot,
        )


def demo_orders() -> list[ShopOrder]:
    return [ShopOrder.read(snapshot) for snapshot in json.loads(DEMO_ORDERS.read_text())]


def orders_in(path: Path) -> list[ShopOrder]:
    """One snapshot a line. Raises StackError naming the first line that is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}") from None
    orders: list[ShopOrder] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            orders.append(ShopOrder.read(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StackError(f"{path}, line {number} is no order: {type(error).__name__} {error}") from None
    if not orders:
        raise StackError(f"{path} holds no order")
    return orders


async def publish_orders(amqp_url: str, orders: Sequence[ShopOrder]) -> None:
    """Publishes every snapshot and returns once RabbitMQ has confirmed them all.

    It may run twice: the event of an order version has the same id each time, and applying it again changes nothing.
    Raises StackError where RabbitMQ is away or takes one of them not.
    """
    try:
        connection = await aio_pika.connect(amqp_url, timeout=CONNECT_TIMEOUT_S)
        async with connection:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            exchange = await channel.get_exchange(EXCHANGE, ensure=False)
            for some in _in_parts(orders, AT_ONCE):
                await asyncio.gather(*(_publish(exchange, order) for order in some))
    except (AMQPError, DeliveryError, OSError, TimeoutError) as error:
        raise StackError(f"the orders cannot be published: {type(error).__name__} {error}") from None


async def _publish(exchange: aio_pika.abc.AbstractExchange, order: ShopOrder) -> None:
    event = order_event(order.snapshot)
    message = aio_pika.Message(
        json.dumps(event).encode(),
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=event["id"],
        user_id=USER,
    )
    routing_key = event["type"].removeprefix("parley.").removesuffix(".v1")
    async with asyncio.timeout(CONFIRM_TIMEOUT_S):
        await exchange.publish(message, routing_key=routing_key, mandatory=True)


def order_event(snapshot: Snapshot) -> dict[str, Any]:
    """The CloudEvents envelope around a snapshot."""
    kind = {"placed": "placed", "cancelled": "cancelled"}.get(snapshot["status"], "updated")
    return {
        "specversion": "1.0",
        "id": f"{snapshot['order_id']}.{snapshot['version']}",
        "source": "demo-shop",
        "type": f"parley.order.{kind}.v1",
        "subject": snapshot["order_id"],
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": snapshot,
    }


def _person(fields: dict[str, Any]) -> Person:
    return Person(str(fields["id"]), str(fields["name"]), fields.get("email"), str(fields.get("locale", "en")))


def _in_parts(orders: Sequence[ShopOrder], size: int) -> Iterable[Sequence[ShopOrder]]:
    return (orders[start : start + size] for start in range(0, len(orders), size))
