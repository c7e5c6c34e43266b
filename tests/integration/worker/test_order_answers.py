"""Every order snapshot is answered: to the gateway that waits, to services that ask, and to those that listen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aio_pika
import orjson
from pymongo.asynchronous.database import AsyncDatabase

from services.threads import intake
from shared import topology
from shared.events import EVENT
from shared.orders import Customer, order_event
from shared.publishing import Outgoing, Publisher
from tests.integration.worker.wire import REPLY_QUEUE, SAID_AT, Wire
from tests.made import new_id, snapshot
from tests.servers.parley import Parley
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually

Store = AsyncDatabase[dict[str, Any]]
REJECTED = "parley.order.rejected.v1"
DEAD = topology.dead_queue(topology.ORDERS_QUEUE)
MALLORY = Customer(id="c-99", name="Mallory", email="mallory@example.com")


async def _started(parley: Parley) -> None:
    parley.start("threads")
    await parley.ready()


def _store(parley: Parley, mongo_client: Any) -> Store:
    store: Store = mongo_client[parley.database_names["threads"]]
    return store


async def test_a_put_is_answered_with_what_became_of_it(parley: Parley, wire: Wire, mongo_client: Any) -> None:
    await _started(parley)
    store, newest = _store(parley, mongo_client), snapshot(version=2)
    first = await wire.put(newest)
    assert (first.state, first.status) == ("done", 200)
    assert first.result == {"order_id": "1042", "version": 2, "stands": True}
    assert (
        await store["threads"].count_documents({"_id": "1042", "version": 2}) == 1
    )  # it can be read once it is answered
    assert (await wire.put(newest)).result == first.result
    older = await wire.put(snapshot(version=1))
    assert (older.status, (older.result or {})["stands"]) == (200, False)
    states = {version: (await intake.find(store, "1042", version)).state for version in (1, 2, 3)}
    assert states == {1: "superseded", 2: "stands", 3: "unknown"}


async def test_a_put_that_contradicts_is_answered_told_and_no_dead_letter(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    await _started(parley)
    store = _store(parley, mongo_client)
    await wire.put(snapshot())
    conflict = await wire.put(snapshot(status="shipped"))
    assert (conflict.state, conflict.status) == ("rejected", 409)
    assert conflict.problem is not None
    assert (conflict.problem.code, conflict.problem.state) == ("version_conflict", {"version": 1})
    changed = await wire.put(snapshot(version=2, customer=MALLORY))
    assert changed.problem is not None
    assert (changed.status, changed.problem.code) == (409, "parties_changed")
    await wire.until(lambda: len(wire.event_ids(REJECTED)) == 2)
    said = [event["data"] for event in wire.events]
    assert [(each["order_id"], each["version"], each["reason"], each["publisher"]) for each in said] == [
        ("1042", 1, "version_conflict", "gateway"),
        ("1042", 2, "parties_changed", "gateway"),
    ]
    assert await parley.vhost.depth(DEAD) == 0
    for version, reason in ((1, "version_conflict"), (2, "parties_changed")):
        kept = await intake.find(store, "1042", version)
        assert (kept.state, kept.reason, kept.standing_version) == ("refused", reason, 1)
    await wire.put(snapshot(version=2, status="shipped"))
    assert (await intake.find(store, "1042", 2)).state == "stands"
    assert (await intake.find(store, "1042", 1)).state == "refused"  # what was sent then never came in


async def test_what_is_refused_over_amqp_is_told_without_what_is_in_it(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    """The event is out before the dead letter: whoever sees the letter has been able to hear of it."""
    await _started(parley)
    await wire.put(snapshot())
    await wire.order(snapshot(status="other content"))
    await wire.order(snapshot(version=2, customer=MALLORY), at=SAID_AT + timedelta(days=1))
    unreadable = order_event(snapshot("7", version=3), source="shop", now=SAID_AT).model_dump(mode="json")
    unreadable["id"] = "ada@example.com"
    unreadable["data"]["customer"]["mallory@example.com"] = "Mallory"
    await wire.raw_order(orjson.dumps(unreadable))
    await wire.raw_order(b"no json, mallory@example.com")
    await wire.raw_order(b"[" * 500_000)
    await wire.raw_order(b"x" * 1_100_000)
    await eventually(lambda: _depth_is(parley, 6), what="the dead letters")
    await wire.until(lambda: len(set(wire.event_ids(REJECTED))) == 6)
    said = {event["data"]["reason"]: event["data"] for event in wire.events}
    assert sorted(event["data"]["reason"] for event in wire.events) == [
        "invalid", "invalid", "invalid", "parties_changed", "too_large", "version_conflict",
    ]  # fmt: skip
    assert (said["version_conflict"]["event_id"], said["version_conflict"]["publisher"]) == ("1042.1", "shop")
    about_seven = [event["data"] for event in wire.events if event["data"].get("order_id") == "7"]
    assert [each["detail"] for each in about_seven] == ["data.customer.(a field): Extra inputs are not permitted"]
    assert "event_id" not in about_seven[0]
    assert "Mallory" not in str(wire.events)
    assert "@" not in str(wire.events)
    for event in wire.events:
        EVENT.validate_python(event)
    kept = await intake.find(_store(parley, mongo_client), "7", 3)
    assert (kept.state, kept.reason, kept.standing_version) == ("refused", "invalid", None)


async def test_a_publisher_who_may_not_is_told_and_says_nothing_of_the_order(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    await _started(parley)
    await wire.put(snapshot())
    stranger = Publisher(parley.vhost.url("operator"), name="test-operator")
    await stranger.connected()
    body = order_event(snapshot(status="shipped"), source="x", now=SAID_AT).model_dump_json().encode()
    await stranger.publish(Outgoing(topology.SHOP_ORDERS, "order.updated", body, message_id="from-a-stranger"))
    await stranger.close()
    await wire.until(lambda: bool(wire.event_ids(REJECTED)))
    data = wire.events[0]["data"]
    assert (data["reason"], data["publisher"], data["message_id"]) == ("wrong_publisher", "operator", "from-a-stranger")
    await eventually(lambda: _depth_is(parley, 1), what="the dead letter")
    assert (await intake.find(_store(parley, mongo_client), "1042", 1)).state == "stands"


async def test_whose_events_count_is_a_setting_and_who_does_not_say_counts(
    parley: Parley, wire: Wire, mongo_client: Any
) -> None:
    """RabbitMQ's permissions let nobody else write to the exchange; `user_id` says only which of them it was."""
    parley.add("threads", ORDER_PUBLISHERS="erp-test,wms").start()
    await parley.ready()
    async with _user(parley.vhost, "erp-test") as url, await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(topology.SHOP_ORDERS, ensure=False)
        for order_id, user_id in (("of-erp", "erp-test"), ("of-nobody", None)):
            body = order_event(snapshot(order_id), source="erp", now=SAID_AT).model_dump_json().encode()
            sent = aio_pika.Message(body, user_id=user_id, message_id=order_id, headers={"x-publisher": "gateway"})
            await exchange.publish(sent, "order.updated")
    await wire.order(snapshot("of-shop"))  # not among them any more
    await wire.until(lambda: bool(wire.event_ids(REJECTED)))
    assert [(each["data"]["order_id"], each["data"]["reason"]) for each in wire.events] == [
        ("of-shop", "wrong_publisher")
    ]
    store = _store(parley, mongo_client)
    await eventually(lambda: _count_is(store, 2), what="both orders")
    assert [each["_id"] async for each in store["orders"].find().sort("_id")] == ["of-erp", "of-nobody"]


@asynccontextmanager
async def _user(vhost: Vhost, name: str) -> AsyncIterator[str]:
    """A user of the shop's as the topology makes it, for this virtual host."""
    management = vhost.server.address.management
    (rights,) = topology.definitions({name: "erp-password"})["permissions"]
    management.call("PUT", f"/users/{name}", {"password": "erp-password", "tags": ""})
    management.call(
        "PUT", f"/permissions/{vhost.name}/{name}", {each: rights[each] for each in ("configure", "write", "read")}
    )
    try:
        yield vhost.url("shop").replace("shop:shop-password@", f"{name}:erp-password@")
    finally:
        management.call("DELETE", f"/users/{name}")


async def _count_is(store: Store, count: int) -> bool:
    return await store["orders"].count_documents({}) == count


async def test_nobody_but_a_gateway_is_answered(parley: Parley, wire: Wire) -> None:
    """Whoever may publish orders could else have threads write to any gateway's queue."""
    await _started(parley)
    asked = new_id()
    shop = Publisher(parley.vhost.url("shop"), name="test-shop-asks")
    await shop.connected()
    body = order_event(snapshot(), source="x", now=SAID_AT).model_dump_json().encode()
    forged = {"x-publisher": "gateway"}
    outgoing = Outgoing(
        topology.SHOP_ORDERS, "order.updated", body, "asks", forged, reply_to=REPLY_QUEUE, correlation_id=asked
    )
    await shop.publish(outgoing)
    await shop.close()
    assert (await wire.put(snapshot(version=2))).status == 200
    assert asked not in wire.replies


async def _depth_is(parley: Parley, depth: int) -> bool:
    return await parley.vhost.depth(DEAD) == depth
