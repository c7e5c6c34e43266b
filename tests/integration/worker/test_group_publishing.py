"""Groups of messages on a real broker: each is confirmed, or said not to be."""

import asyncio

import pytest

from shared import topology
from shared.groups import PIECE_BYTES, GroupPublisher
from shared.publishing import NotPublished, Outgoing
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually


def _event(number: int, body: bytes = b"{}") -> Outgoing:
    return Outgoing(topology.NOTIFICATIONS, "message.posted", body, message_id=f"event-{number}")


def _for_nobody(number: int) -> Outgoing:
    return Outgoing(topology.REPLIES, "nobody", b"{}", message_id=f"nobody-{number}")


async def test_each_message_of_a_group_is_confirmed_or_said_not_to_be(vhost: Vhost) -> None:
    publisher = GroupPublisher(vhost.url("threads"), name="test")
    await publisher.connected()
    try:
        group = [_event(number) if number % 3 else _for_nobody(number) for number in range(300)]
        confirmed, single, second = await asyncio.gather(
            publisher.publish_group(group, deadline_s=10),
            publisher.publish(_event(1_000)),
            publisher.publish_group([_event(2_000)], deadline_s=10),
        )
    finally:
        await publisher.close()
    assert confirmed == [number % 3 > 0 for number in range(300)]
    assert (single, second) == (None, [True])

    async def all_there() -> bool:
        return await vhost.depth(topology.NOTIFIER_QUEUE) == 202

    await eventually(all_there)


async def test_large_messages_go_in_order_and_whole(vhost: Vhost) -> None:
    publisher = GroupPublisher(vhost.url("threads"), name="test")
    await publisher.connected()
    bodies = [f"{number}".encode() * (PIECE_BYTES // 3) for number in range(5)]
    try:
        group = [_event(number, body) for number, body in enumerate(bodies)]
        assert await publisher.publish_group(group, deadline_s=30) == [True] * 5
        assert await publisher.publish_group([], deadline_s=30) == []
    finally:
        await publisher.close()
    taken = await vhost.take_all(topology.NOTIFIER_QUEUE)
    assert [message.body for message in taken] == bodies


async def test_a_group_is_refused_at_once_while_rabbitmq_is_not_reachable(vhost: Vhost) -> None:
    publisher = GroupPublisher(vhost.url("threads"), name="test")
    with pytest.raises(NotPublished):
        await publisher.publish_group([_event(1)], deadline_s=10)
