"""A shop's service in FastStream: publishes an order, hears what is written: `AMQP_URL=amqp://shop:… python faststream_service.py order.json`."""

import asyncio
import json
import os
import sys
from pathlib import Path

from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(prefetch_count=50, on_return_raises=True))
app = FastStream(broker)
# declare=False: both exchanges are there, and declaring them is ACCESS_REFUSED. A queue of one's own is called shop-…
orders = RabbitExchange("shop.orders", type=ExchangeType.TOPIC, declare=False)
events = RabbitExchange("parley.events", type=ExchangeType.TOPIC, declare=False)
queue = RabbitQueue("shop-faststream", queue_type=QueueType.QUORUM, durable=True, routing_key="message.*")
order = json.loads(Path(sys.argv[1]).read_text())
known = set()  # copies have the same id; a real service keeps the ids where it keeps what it makes of them


async def cloud_event(message: RabbitMessage) -> dict:
    """FastStream takes only application/json for JSON by itself, and would hand out bytes."""
    return json.loads(message.body)


@broker.subscriber(queue, events, decoder=cloud_event, ack_policy=AckPolicy.NACK_ON_ERROR, no_reply=True)
async def on_event(event: dict) -> None:
    if event["id"] not in known:
        print(event["type"], event["subject"], event["data"].get("entry", {}).get("text"), flush=True)
        known.add(event["id"])


@app.after_startup
async def publish() -> None:
    event_id, kind = f"{order['order_id']}.{order['version']}", "parley.order.updated.v1"
    event = {"specversion": "1.0", "id": event_id, "source": "orders", "type": kind, "data": order}
    properties = {"content_type": "application/cloudevents+json", "message_id": event_id, "user_id": "shop"}
    body = json.dumps(event).encode()
    async with asyncio.timeout(10):  # publish(timeout=…) is not looked at
        await broker.publish(body, exchange=orders, routing_key="order.updated", persist=True, **properties)


asyncio.run(app.run())
