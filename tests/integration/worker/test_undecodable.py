"""A message whose properties the AMQP library cannot decode is dead alone: no reconnect, no innocent neighbour, and the operator's tool shows it."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Any

import aio_pika
import aiormq
import pytest
from aiormq.abc import ChannelFrame
from pymongo import AsyncMongoClient

from deploy.ctl import dead
from services.gateway.live.stream import StreamReading
from shared import topology
from shared.connections import with_options
from shared.orders import order_event
from tests.hostile_properties import DECODABLE, UNDECODABLE, properties
from tests.integration.worker.wire import Wire
from tests.made import post, snapshot
from tests.servers.amqp_frames import published
from tests.servers.parley import Parley
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually

Document = dict[str, Any]
DEAD = topology.dead_queue(topology.ORDERS_QUEUE)


class RawPublisher:
    """Publishes properties that no library would write."""

    def __init__(self, channel: aiormq.Channel, user: str) -> None:
        self._channel, self._user = channel, user

    async def publish(
        self, exchange: str, routing_key: bytes, body: bytes, given: dict[int, bytes] | None = None
    ) -> None:
        payload = published(exchange, routing_key, properties(self._user, given), body, channel=self._channel.number)
        await self._channel.write_queue.put(ChannelFrame(payload=payload, should_close=False, drain_future=None))

    async def order(
        self, order_id: str, given: dict[int, bytes] | None = None, *, key: bytes = b"order.placed"
    ) -> None:
        event = order_event(snapshot(order_id), source="shop", now=datetime.now(UTC))
        await self.publish(topology.SHOP_ORDERS, key, event.model_dump_json().encode(), given)


async def _raw(vhost: Vhost, user: str) -> tuple[aiormq.abc.AbstractConnection, RawPublisher]:
    connection = await aiormq.connect(with_options(vhost.url(user), "raw"))
    channel = await connection.channel(publisher_confirms=False)
    assert isinstance(channel, aiormq.Channel)
    return connection, RawPublisher(channel, user)


async def _looked_at(vhost: Vhost) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """The dead letters, which stay."""
    async with await vhost.connect() as connection:
        queue = await (await connection.channel()).get_queue(DEAD, ensure=False)
        found = []
        while (message := await queue.get(fail=False, timeout=10)) is not None:
            found.append(message)
        return found


async def _orders_known(client: AsyncMongoClient[Document], parley: Parley) -> set[str]:
    database = client[parley.database_names["threads"]]
    return {each["_id"] async for each in database["threads"].find({"order": {"$exists": True}}, {"_id": 1})}


async def test_each_undecodable_order_event_is_dead_alone_and_its_neighbours_are_taken_at_once(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    connection, shop = await _raw(parley.vhost, "shop")
    good: set[str] = set()
    for number, given in enumerate([*UNDECODABLE.values(), *DECODABLE.values()]):
        await shop.order(f"strange-{number}", given)
        await shop.order(f"good-{number}")
        good.add(f"good-{number}")
    strange = {f"strange-{number}" for number in range(len(UNDECODABLE), len(UNDECODABLE) + len(DECODABLE))}

    async def settled() -> bool:
        return await _orders_known(mongo_client, parley) >= good | strange and await parley.vhost.depth(DEAD) == len(
            UNDECODABLE
        )

    await eventually(settled, what="every good order")
    await connection.close()
    assert await _orders_known(mongo_client, parley) == good | strange
    letters = await parley.vhost.take_all(DEAD)
    assert {letter.headers["x-parley-reason"] for letter in letters} == {"undecodable"}
    assert {letter.headers["x-publisher"] for letter in letters} == {"shop"}
    assert all(letter.headers["x-parley-detail"] for letter in letters)
    assert await parley.vhost.held(topology.ORDERS_QUEUE) == 0
    log = parley.services["threads"].log
    assert "InvalidFrameError" not in log
    assert "Traceback" not in log


async def test_a_routing_key_that_is_not_utf_8_harms_nobody(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    connection, shop = await _raw(parley.vhost, "shop")
    await shop.order("strange", key=b"order.\xff\xfe")
    await shop.order("good")

    async def known() -> bool:
        return await _orders_known(mongo_client, parley) == {"strange", "good"}

    await eventually(known)
    await connection.close()


@pytest.mark.parametrize("name", ["a timestamp in microseconds", "tables nested 3,000 deep"])
async def test_a_command_and_a_notification_that_cannot_be_decoded_are_dead_alone(
    parley: Parley, wire: Wire, name: str
) -> None:
    """None but our own services may publish these, so this is a defect of theirs or of a library's."""
    parley.start("threads", "notifier")
    await parley.ready()
    await wire.order(snapshot())
    for user, exchange, key, queue in (
        ("gateway", topology.COMMANDS, b"message.post", topology.COMMANDS_QUEUE),
        ("threads", topology.NOTIFICATIONS, b"thread.read", topology.NOTIFIER_QUEUE),
    ):
        connection, raw = await _raw(parley.vhost, user)
        await raw.publish(exchange, key, b"{}", UNDECODABLE[name])
        assert (await wire.ask(post(f"behind it, at {exchange}"))).status == 201

        async def is_dead(letters: str = topology.dead_queue(queue)) -> bool:
            return await parley.vhost.depth(letters) == 1

        await eventually(is_dead, what=f"a dead letter of {queue}")
        [letter] = await parley.vhost.take_all(topology.dead_queue(queue))
        assert letter.headers["x-parley-reason"] == "undecodable"
        await connection.close()
    await eventually(lambda: len(parley.smtp.mails) >= 1, what="the mails behind it")


async def test_the_live_stream_is_read_behind_what_cannot_be_decoded(vhost: Vhost) -> None:
    connection, threads = await _raw(vhost, "threads")
    for number, given in enumerate([*UNDECODABLE.values(), {}]):
        await threads.publish(topology.EVENTS, b"message.posted", f"{number}".encode(), given)
    reader = await aiormq.connect(with_options(vhost.url("gateway"), "reader"))
    async with asyncio.timeout(20), StreamReading(reader, start="first") as reading:
        bodies = [(await reading.next()).body for _ in range(len(UNDECODABLE) + 1)]
    await connection.close()
    await reader.close()
    assert bodies == [f"{number}".encode() for number in range(len(UNDECODABLE) + 1)]


async def test_the_operators_tool_lists_shows_replays_and_drops_what_rabbitmq_gave_up_itself(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document]
) -> None:
    """Letters of an older release, with the properties as they came: they stand in the dead queue itself."""
    connection, operator = await _raw(parley.vhost, "operator")
    for number, given in enumerate([*UNDECODABLE.values(), *DECODABLE.values()]):
        event = order_event(snapshot(f"old-{number}"), source="shop", now=datetime.now(UTC)).model_dump_json().encode()
        own = given | {1 << 7: bytes([6]) + secrets.token_hex(3).encode()}
        await operator.publish(topology.DEAD, topology.ORDERS_QUEUE.encode(), event, own)
    count = len(UNDECODABLE) + len(DECODABLE)

    async def all_there() -> bool:
        return await parley.vhost.depth(DEAD) == count

    await eventually(all_there)
    async with dead.opened(parley.vhost.url("operator")) as letters:
        found = await letters.look()
        assert len(found) == count
        assert sum("undecodable" in letter.line() for letter in found) == len(UNDECODABLE)
        assert all("old-" in letter.shown() for letter in found)
    dropped, replayed = found[0].id, found[1].id
    async with dead.opened(parley.vhost.url("operator")) as letters:
        assert await letters.drop(dropped) == 1
    async with dead.opened(parley.vhost.url("operator")) as letters:
        assert await letters.replay(replayed) == 1
    parley.start("threads")
    await parley.ready()

    async def refused_for_its_publisher() -> bool:
        """What could be decoded of it was taken: only that an operator may not publish orders is wrong with it now."""
        return any(each.headers.get("x-parley-reason") == "wrong_publisher" for each in await _looked_at(parley.vhost))

    await eventually(refused_for_its_publisher)
    assert await parley.vhost.depth(DEAD) == count - 1
    await connection.close()
