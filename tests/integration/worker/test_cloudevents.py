"""Orders as CloudEvents libraries write them, through RabbitMQ: taken, and refused whole; and what of ours goes out says its type."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings import amqp, rabbitmq
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from shared import topology
from shared.orders import OrderSnapshot
from tests.integration.worker.wire import SAID_AT, Wire
from tests.made import post, snapshot
from tests.servers.parley import Parley
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually

JSON = JSONFormat()
DEAD = topology.dead_queue(topology.ORDERS_QUEUE)


async def _publish(vhost: Vhost, *messages: aio_pika.Message) -> None:
    async with await aio_pika.connect(vhost.url("shop")) as connection:
        exchange = await (await connection.channel()).get_exchange(topology.SHOP_ORDERS, ensure=False)
        for message in messages:
            await exchange.publish(message, "order.updated")


def _event(order: OrderSnapshot, **attributes: Any) -> CloudEvent:
    named = {"id": f"e-{order.order_id}", "source": "/shop", "type": "parley.order.updated.v1", "specversion": "1.0"}
    return CloudEvent(attributes=named | attributes, data=order.model_dump(mode="json", exclude_none=True))


def _binary(order: OrderSnapshot, **properties: Any) -> aio_pika.Message:
    """Without `time`, which the library adds by itself."""
    sent = rabbitmq.to_binary(_event(order), JSON)
    headers: dict[str, Any] = {name: value for name, value in sent.headers.items() if name != "ce-time"}
    return aio_pika.Message(sent.body, headers=headers, content_type="application/json", **properties)


async def test_binary_events_are_taken_and_a_refused_one_is_kept_whole(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    parley.start("threads")
    await parley.ready()
    amqps = amqp.to_binary(_event(snapshot("amqp"), time=SAID_AT), JSON)
    of_amqp = aio_pika.Message(
        amqps.application_data, headers=amqps.application_properties, content_type="application/json"
    )
    await _publish(parley.vhost, _binary(snapshot("rabbit")), of_amqp, _binary(snapshot("rabbit", status="shipped")))
    await eventually(lambda: _depth_is(parley, 1), what="the dead letter")
    store = mongo_client[parley.database_names["threads"]]
    assert [each["_id"] async for each in store["orders"].find().sort("_id")] == ["amqp", "rabbit"]
    (letter,) = await parley.vhost.take_all(DEAD)
    assert letter.content_type == "application/cloudevents+json"
    assert json.loads(letter.body)["id"] == "e-rabbit"
    await wire.until(lambda: bool(wire.events))
    assert (wire.events[0]["data"]["event_id"], wire.events[0]["data"]["reason"]) == ("e-rabbit", "version_conflict")


async def test_where_neither_order_nor_event_says_when_the_deliverys_own_time_does(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    parley.start("threads")
    await parley.ready()
    later = SAID_AT + timedelta(seconds=1)
    for status, at in (("paid", later), ("placed", SAID_AT)):
        await _publish(parley.vhost, _binary(snapshot(status=status), timestamp=at))
    await wire.ask(post("settled"))
    await eventually(lambda: _is_settled(parley), what="both order events being settled")
    stored = await mongo_client[parley.database_names["threads"]]["orders"].find_one({"_id": "1042"})
    assert stored["snapshot"]["status"] == "paid"
    assert await parley.vhost.depth(DEAD) == 0


async def test_our_events_say_their_type_and_moment_to_amqp(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    seen: list[AbstractIncomingMessage] = []
    arrived = asyncio.Event()

    async def on_event(message: AbstractIncomingMessage) -> None:
        seen.append(message)
        arrived.set()

    async with await parley.vhost.connect() as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.EVENTS, "#")
        await queue.consume(on_event, no_ack=True)
        before = datetime.now(UTC).replace(microsecond=0)
        await wire.put(snapshot())
        await wire.ask(post("Hello"))
        async with asyncio.timeout(20):
            await arrived.wait()
    (message,) = seen
    event = json.loads(message.body)
    assert (message.type, message.content_type) == (event["type"], "application/cloudevents+json")
    assert message.timestamp == datetime.fromisoformat(event["time"]).replace(microsecond=0)
    assert message.timestamp >= before


async def _depth_is(parley: Parley, depth: int) -> bool:
    return await parley.vhost.depth(DEAD) == depth


async def _is_settled(parley: Parley) -> bool:
    return await parley.vhost.held(topology.ORDERS_QUEUE) == 0
