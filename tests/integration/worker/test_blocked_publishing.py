"""A RabbitMQ that takes no publishes, or none like this one: nothing is lost, piles up, or takes others along."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import aio_pika
from pymongo import AsyncMongoClient

from shared import topology
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing
from tests.integration.worker.wire import Wire
from tests.made import post, snapshot
from tests.servers.parley import Parley
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.waiting import eventually

Document = dict[str, Any]

POSTS = 20
SWEEPS = 5
DEAD = topology.dead_queue(topology.ORDERS_QUEUE)
# What the shop's message may have at most: a few bytes less than RabbitMQ's largest frame, and a copy needs some hundred more.
ALMOST_A_FRAME_BYTES = 130_800


def _events(count: int) -> list[Outgoing]:
    return [Outgoing(topology.NOTIFICATIONS, "message.posted", b"x" * 1_000, message_id=f"{n}") for n in range(count)]


async def _is_refused(publisher: GroupPublisher, messages: Sequence[Outgoing]) -> bool:
    try:
        await publisher.publish_group(messages, deadline_s=0.2)
    except NotPublished:
        return True
    return False


async def test_a_group_is_sent_once_before_rabbitmq_says_that_it_takes_nothing_and_not_again_until_it_does(
    rabbitmq: SharedRabbit, vhost: Vhost
) -> None:
    publisher = GroupPublisher(vhost.url("threads"), name="test")
    await publisher.connected()
    try:
        with rabbitmq.blocked():
            await eventually(lambda: _is_refused(publisher, _events(500)), what="RabbitMQ's word that it takes nothing")
            assert [await _is_refused(publisher, _events(500)) for _ in range(50)] == [True] * 50
        await eventually(lambda: _takes(publisher), what="the end of the alarm")
        assert await publisher.publish_group(_events(500), deadline_s=10) == [True] * 500
    finally:
        await publisher.close()
    copies = Counter(message.message_id for message in await vhost.take_all(topology.NOTIFIER_QUEUE))
    assert len(copies) == 501
    assert set(copies.values()) <= {1, 2}


async def _takes(publisher: GroupPublisher) -> bool:
    message = Outgoing(topology.NOTIFICATIONS, "message.posted", b"{}", message_id="probe")
    return not await _is_refused(publisher, [message])


async def test_what_was_committed_while_rabbitmq_took_nothing_is_announced_afterwards_and_not_once_a_sweep(
    parley: Parley, wire: Wire, rabbitmq: SharedRabbit, mongo_client: AsyncMongoClient[Document]
) -> None:
    parley.start("threads")
    await parley.ready()
    threads, entries = parley.services["threads"], mongo_client[parley.database_names["threads"]]["entries"]
    await wire.order(snapshot())
    first = await wire.ask(post("first"))
    threads.stop()
    commands = [post(f"{number}") for number in range(POSTS)]
    for command in commands:
        await wire.send(command)

    with rabbitmq.blocked():
        threads.start()

        async def are_stored() -> bool:
            return await entries.count_documents({}) == POSTS + 1

        await eventually(are_stored, timeout_s=30, what="the posts' entries")

        def sweeps() -> int:
            return sum(event["event"] == "events_not_published" for event in threads.log_events)

        before = sweeps()
        await eventually(lambda: sweeps() >= before + SWEEPS, timeout_s=60, what="some sweeps")

    async def is_finished() -> bool:
        return await entries.count_documents({"unfinished": True}) == 0

    await eventually(is_finished, timeout_s=30, what="every entry finished")
    ids = {first.command_id, *(command.id for command in commands)}
    await wire.until(lambda: set(wire.event_ids()) == ids)
    assert max(Counter(wire.event_ids()).values()) <= 2


async def test_a_message_with_as_many_headers_as_fit_is_dead_lettered_and_takes_no_other_publish_along(
    parley: Parley, wire: Wire
) -> None:
    parley.start("threads")
    await parley.ready()
    shop = await parley.vhost.connect("shop")
    async with shop:
        exchange = await (await shop.channel()).get_exchange(topology.SHOP_ORDERS, ensure=False)
        for number in range(3):
            message = aio_pika.Message(
                b"no order",
                headers={"shop-trace": "a trace", "shop-basket": "x" * ALMOST_A_FRAME_BYTES},
                message_id=f"large-{number}",
                user_id="shop",
            )
            await exchange.publish(message, "order.placed")
    await wire.order(snapshot())
    answer = await wire.ask(post("Hello"))
    await wire.until(lambda: answer.command_id in wire.event_ids())

    async def are_dead() -> bool:
        return await parley.vhost.depth(DEAD) == 3

    await eventually(are_dead, what="the dead letters")
    letters = await parley.vhost.take_all(DEAD)
    assert {letter.message_id for letter in letters} == {"large-0", "large-1", "large-2"}
    assert {letter.headers["x-parley-headers-left-out"] for letter in letters} == {1}
    assert {letter.headers["shop-trace"] for letter in letters} == {"a trace"}
    assert [event for event in parley.services["threads"].log_events if event["event"] == "publish_repeated"] == []
