"""The servers that other tests stand on do what those tests think they do."""

import asyncio
from collections.abc import Callable

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError, DeliveryError
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from shared.topology import COMMANDS, COMMANDS_QUEUE
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.waiting import eventually

Document = dict[str, object]


async def publish_command(vhost: Vhost, *, user: str = "gateway") -> None:
    async with await vhost.connect(user) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        message = aio_pika.Message(b"{}", user_id=user, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        async with asyncio.timeout(5):
            await exchange.publish(message, "message.post", mandatory=True)


async def test_a_fresh_virtual_host_has_the_topology_and_starts_empty(vhost: Vhost) -> None:
    await publish_command(vhost)

    assert await vhost.depth(COMMANDS_QUEUE) == 1
    assert [message.body for message in await vhost.take_all(COMMANDS_QUEUE)] == [b"{}"]
    assert await vhost.depth(COMMANDS_QUEUE) == 0


async def test_what_a_consumer_has_in_hand_is_held_and_not_ready(vhost: Vhost) -> None:
    await publish_command(vhost)
    async with await vhost.connect() as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(COMMANDS_QUEUE, ensure=False)
        message = await queue.get()

        assert (await vhost.depth(COMMANDS_QUEUE), await vhost.held(COMMANDS_QUEUE)) == (0, 1)

        await message.ack()

        async def settled() -> bool:
            return await vhost.held(COMMANDS_QUEUE) == 0

        await eventually(settled, what="the acknowledgement")


async def test_users_have_the_permissions_of_the_topology_and_no_others(vhost: Vhost) -> None:
    with pytest.raises(AMQPError, match="ACCESS_REFUSED"):
        await publish_command(vhost, user="shop")


async def test_two_virtual_hosts_do_not_see_each_others_messages(fresh_vhost: Callable[..., Vhost]) -> None:
    one, other = fresh_vhost(), fresh_vhost()

    await publish_command(one)

    assert await other.depth(COMMANDS_QUEUE) == 0


async def test_a_full_queue_refuses_publishes(fresh_vhost: Callable[..., Vhost]) -> None:
    vhost = fresh_vhost(max_queued=1)

    async def refused() -> bool:
        try:
            await publish_command(vhost)
        except DeliveryError:
            return True
        return False

    assert await eventually(refused, what="a refused publish")


async def test_a_killed_broker_comes_back_with_what_it_had_confirmed(rabbitmq: SharedRabbit, vhost: Vhost) -> None:
    await publish_command(vhost)

    rabbitmq.kill()
    with pytest.raises((OSError, AMQPError)):
        await publish_command(vhost)
    rabbitmq.start()

    assert await vhost.depth(COMMANDS_QUEUE) == 1


async def test_a_paused_broker_says_nothing_until_it_is_resumed(rabbitmq: SharedRabbit, vhost: Vhost) -> None:
    async with await vhost.connect("gateway") as connection:
        channel = await connection.channel()
        rabbitmq.pause()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await channel.get_queue(COMMANDS_QUEUE, ensure=True)
        rabbitmq.resume()

    assert await vhost.depth(COMMANDS_QUEUE) == 0


async def test_a_blocked_broker_confirms_nothing_until_its_alarm_is_over(rabbitmq: SharedRabbit, vhost: Vhost) -> None:
    with rabbitmq.blocked(), pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await publish_command(vhost)

    await eventually(lambda: published(vhost), what="a confirmed publish")


async def published(vhost: Vhost) -> bool:
    try:
        await publish_command(vhost)
    except (TimeoutError, AMQPError):
        return False
    return True


async def test_a_killed_mongodb_comes_back_with_what_a_majority_had_journaled(
    mongo: SharedMongo, database: AsyncDatabase[Document]
) -> None:
    entries = database.get_collection("entries", write_concern=WriteConcern("majority", j=True))
    await entries.insert_one({"_id": "one"})

    mongo.kill()
    mongo.start()

    assert await entries.find_one({"_id": "one"}) == {"_id": "one"}


async def test_each_database_is_empty_and_dropped_afterwards(
    fresh_database: FreshDatabases, mongo_client: AsyncMongoClient[Document]
) -> None:
    name, other = fresh_database("threads"), fresh_database("threads")
    await mongo_client[name]["entries"].insert_one({})

    assert name != other
    assert await mongo_client[other]["entries"].count_documents({}) == 0
    fresh_database.drop()
    assert name not in await mongo_client.list_database_names()
