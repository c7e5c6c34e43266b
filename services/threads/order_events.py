"""Order events: FastStream takes them off `threads.orders`, and each snapshot is kept and projected."""

from collections.abc import Callable
from typing import Final

from aio_pika.abc import AbstractIncomingMessage
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from services.threads.orders import Orders
from services.threads.projection import Projection
from shared import topology
from shared.delivery import Publisher, Settler, WorkQueue, with_options
from shared.envelope import read
from shared.mongo import is_away
from shared.orders import ORDER_EVENT

QUEUE: Final = WorkQueue(topology.ORDERS_QUEUE, service="threads", publishers=frozenset({"gateway", "shop"}))
PREFETCH: Final = 32


class OrderEvents:
    """Keeps the newest snapshot of each order. May run twice, and in any order."""

    def __init__(self, *, orders: Orders, projection: Projection) -> None:
        self._orders, self._projection = orders, projection

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Raises CannotProcess for what is no order event, and for a snapshot that contradicts the one that stands."""
        snapshot = read(ORDER_EVENT, message.body).data
        if await self._orders.keep(snapshot):
            await self._projection.write_order(snapshot)


def subscribe(
    amqp_url: str, *, handler: OrderEvents, publisher: Publisher, on_dead: Callable[[], None] = lambda: None
) -> RabbitBroker:
    """The broker that consumes order events; it declares nothing, because the topology comes from the definitions."""
    broker = RabbitBroker(with_options(amqp_url, "threads-orders"), logger=None, graceful_timeout=10)
    settler = Settler(publisher=publisher, queue=QUEUE, away=is_away, on_dead=on_dead)

    @broker.subscriber(
        RabbitQueue(topology.ORDERS_QUEUE, declare=False),
        channel=Channel(prefetch_count=PREFETCH),
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        decoder=_undecoded,
    )
    async def on_order_event(body: bytes, message: RabbitMessage) -> None:
        await settler.settle(message.raw_message, handler.handle)

    return broker


async def _undecoded(message: RabbitMessage) -> bytes:
    """The body as it came: it is validated from its bytes, once."""
    return message.body
