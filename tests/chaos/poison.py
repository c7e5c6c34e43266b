"""Messages that nobody can process, from users who may publish them: each must end in its queue's dead letters, and nothing else may."""

import asyncio
from collections import defaultdict
from typing import Final

import aio_pika
from aio_pika.exceptions import AMQPError

from shared import topology
from tests.chaos.lanes import Lane
from tests.chaos.plan import Kind, Step
from tests.servers.rabbitmq import Vhost

# queue: the exchange before it, a routing key that reaches it, and a user who may publish there
WAYS: Final = {
    topology.ORDERS_QUEUE: (topology.SHOP_ORDERS, "order.updated", "shop"),
    topology.COMMANDS_QUEUE: (topology.COMMANDS, "message.post", "gateway"),
    topology.NOTIFIER_QUEUE: (topology.NOTIFICATIONS, "message.posted", "threads"),
}
BODIES: Final = (b"poison", b'{"specversion": "1.0", "type": "parley.unheard.of.v1"}', b"\x00\xff")
PUBLISH_LIMIT_S: Final = 3.0


class Poison:
    """`injected` was confirmed, by queue; `perhaps` was sent while RabbitMQ was in no state to say."""

    def __init__(self, vhost: Vhost) -> None:
        self._vhost = vhost
        self.injected: dict[str, set[str]] = defaultdict(set)
        self.perhaps: set[str] = set()
        self._number = 0

    def lane(self) -> Lane:
        return Lane("poison", {"poison": (Kind(lasts_s=(0.1, 0.2)), self.inject)}, 6.0)

    async def inject(self, step: Step) -> None:
        queues = list(WAYS)
        queue = queues[step.of(queues)]
        self._number += 1
        name = f"poison-{self._number}"
        try:
            async with asyncio.timeout(PUBLISH_LIMIT_S):
                await self._publish(queue, name, BODIES[self._number % len(BODIES)])
            self.injected[queue].add(name)
        except (AMQPError, OSError, TimeoutError):
            self.perhaps.add(name)

    async def _publish(self, queue: str, name: str, body: bytes) -> None:
        exchange_name, key, user = WAYS[queue]
        async with await aio_pika.connect(self._vhost.url(user), timeout=PUBLISH_LIMIT_S) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange(exchange_name, ensure=False)
            message = aio_pika.Message(
                body, message_id=name, user_id=user, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
            )
            await exchange.publish(message, key, mandatory=True)
