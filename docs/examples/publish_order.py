"""Tells Parley about an order, as any service of the shop may: `AMQP_URL=amqp://shop:… python publish_order.py order.json`."""

import asyncio
import json
import os
import sys
from pathlib import Path

import aio_pika


async def publish(order: dict) -> None:
    event_id, kind = f"{order['order_id']}.{order['version']}", "parley.order.placed.v1"
    event = {"specversion": "1.0", "id": event_id, "source": "orders", "type": kind, "data": order}
    properties = {"content_type": "application/cloudevents+json", "delivery_mode": 2, "user_id": "shop"}
    message = aio_pika.Message(json.dumps(event).encode(), message_id=event_id, **properties)
    async with await aio_pika.connect(os.environ["AMQP_URL"]) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("shop.orders", ensure=False)
        await exchange.publish(message, routing_key="order.placed", mandatory=True, timeout=10)


if __name__ == "__main__":
    asyncio.run(publish(json.loads(Path(sys.argv[1]).read_text())))
