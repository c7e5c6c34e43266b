"""The notifier's subscription on a real RabbitMQ: it comes back after a loss, whatever the group in hand is doing at that moment."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractIncomingMessage

from services.notifier.consumers import QUEUE, Notifications
from services.notifier.subscription import Subscription
from shared import topology
from shared.delivery import Settler
from shared.mongo import is_away
from shared.publishing import Outgoing, Publisher
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.waiting import eventually
from tests.unit.notifier.making import command_id, event


class Deaf(Notifications):
    """Takes everything. The first group is in hand until it is cancelled, and ends then as if it had not been:

    as a write of PyMongo's under Python 3.11 does whose end and whose cancellation come in one turn of the event loop.
    """

    def __init__(self) -> None:
        self.groups = 0
        self.is_in_hand = False

    async def take_some(self, messages: Sequence[AbstractIncomingMessage]) -> list[AbstractIncomingMessage]:
        self.groups += 1
        if self.groups == 1:
            self.is_in_hand = True
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.is_in_hand = False
        return []


@asynccontextmanager
async def subscribed(vhost: Vhost, notifications: Notifications) -> AsyncIterator[Subscription]:
    publisher = Publisher(vhost.url("notifier"), name="test-notifier")
    settler = Settler(publisher=publisher, queue=QUEUE, away=is_away)
    subscription = Subscription(vhost.url("notifier"), settler=settler, notifications=notifications, prefetch=10)
    subscription.start()
    try:
        yield subscription
    finally:
        await subscription.stop()


async def test_a_connection_lost_while_a_group_is_in_hand_is_made_again_although_the_group_hears_nothing(
    vhost: Vhost, rabbitmq: SharedRabbit
) -> None:
    deaf = Deaf()
    threads = Publisher(vhost.url("threads"), name="test-threads")
    async with subscribed(vhost, deaf) as subscription:
        await eventually(lambda: subscription.is_attached, what="the subscription")
        await threads.connected()
        body = event().model_dump_json().encode()
        await threads.publish(Outgoing(topology.NOTIFICATIONS, "message.posted", body, message_id=command_id()))
        await threads.close()
        await eventually(lambda: deaf.is_in_hand, what="the group in hand")

        await asyncio.to_thread(rabbitmq.close_connections, vhost.name)

        await eventually(lambda: deaf.groups == 2, what="the delivery coming again")
        await eventually(lambda: subscription.is_attached, what="the subscription again")
    assert not await vhost.depth(topology.NOTIFIER_QUEUE)
