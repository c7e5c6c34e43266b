"""The examples of docs/examples/ against a real Parley, each run as its reader runs it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE

from shared import topology
from shared.orders import ORDER_EVENT, OrderSnapshot
from tests.docs.markdown import ROOT
from tests.e2e.client import Client, clients_of
from tests.servers.parley import Parley
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually

EXAMPLES = ROOT / "docs" / "examples"


async def _publish_order(amqp_url: str) -> None:
    example = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / "publish_order.py", EXAMPLES / "order.json", env={"AMQP_URL": amqp_url}, stderr=PIPE
    )
    _, said = await asyncio.wait_for(example.communicate(), timeout=30)
    assert example.returncode == 0, said.decode()


async def test_the_published_order_is_an_order_event_of_the_shops(vhost: Vhost) -> None:
    await _publish_order(vhost.url("shop"))
    (message,) = await vhost.take_all(topology.ORDERS_QUEUE)
    order = json.loads((EXAMPLES / "order.json").read_text())
    assert ORDER_EVENT.validate_json(message.body).data == OrderSnapshot.model_validate(order)
    assert (message.user_id, message.message_id, message.content_type) == (
        "shop",
        "2001.1",
        "application/cloudevents+json",
    )


async def test_a_service_of_the_shop_publishes_an_order_and_hears_what_is_written_about_it(
    running_parley: Parley,
) -> None:
    amqp_url = running_parley.vhost.url("shop")
    await _publish_order(amqp_url)
    subscriber = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / "subscriber.py", env={"AMQP_URL": amqp_url}, stdout=PIPE
    )
    try:
        await eventually(lambda: _has_bindings(running_parley.vhost, "shop-example"), what="the subscriber's bindings")
        async with clients_of(running_parley) as clients:
            posted = await clients.customer("c-2").post("Is it on its way?", order_id="2001")
        assert posted.status == 201
        assert subscriber.stdout is not None
        heard = await asyncio.wait_for(subscriber.stdout.readline(), timeout=20)
        assert heard.decode() == "parley.message.posted.v1 2001 Is it on its way?\n"
    finally:
        subscriber.terminate()
        await subscriber.wait()


async def test_a_service_in_faststream_publishes_an_order_and_hears_what_is_written_about_it(
    running_parley: Parley,
) -> None:
    vhost = running_parley.vhost
    command = (sys.executable, EXAMPLES / "faststream_service.py", EXAMPLES / "order.json")
    service = await asyncio.create_subprocess_exec(*command, env={"AMQP_URL": vhost.url("shop")}, stdout=PIPE)
    try:
        await eventually(lambda: _has_bindings(vhost, "shop-faststream", 1), what="the service's binding")
        async with clients_of(running_parley) as clients:
            shop = clients.service()
            await eventually(lambda: _stands(shop, "/v1/orders/2001/intake/1"), what="the published order")
            posted = await clients.customer("c-2").post("Is it on its way?", order_id="2001")
        assert posted.status == 201
        assert service.stdout is not None
        async with asyncio.timeout(20):
            while b"message.posted" not in (heard := await service.stdout.readline()):
                assert heard, "the service has ended"
        assert heard.decode() == "parley.message.posted.v1 2001 Is it on its way?\n"
    finally:
        service.terminate()
        await service.wait()


async def _stands(shop: Client, path: str) -> bool:
    return bool((await shop.get(path)).body["state"] == "stands")


def _has_bindings(vhost: Vhost, queue: str, count: int = 2) -> bool:
    bindings = vhost.server.address.management.call("GET", f"/bindings/{vhost.name}/e/{topology.EVENTS}/q/{queue}")
    return len(bindings) == count
