"""A worker whose broker is lost at an unlucky moment goes on settling, and says meanwhile that it does not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pamqp import commands
from prometheus_client import CollectorRegistry

from services.threads import consumers
from services.threads.commit import Group
from services.threads.consumers import CommandConsumer
from services.threads.metrics import Metrics
from services.threads.order_events import OrderSubscription
from services.threads.subscription import Delivery
from services.threads.work import Work
from tests.made import post
from tests.servers.amqp_stub import Fault, Peer, StubBroker, closes, falls_silent, resets
from tests.servers.waiting import eventually
from tests.unit.shared.losses import MOMENTS, Moment, Outcomes, all_at_once, hurry, on_the_services_loop

GROUP_MAX = 16
RAISED = consumers.GROUPS_PREFETCHED * GROUP_MAX


class Committer:
    """Takes everything, at once or when the test lets it."""

    def __init__(self) -> None:
        self.written: list[Work] = []
        self.may_write = asyncio.Event()
        self.may_write.set()

    async def write(self, works: Sequence[Work]) -> Group:
        self.written += works
        await self.may_write.wait()
        return Group()

    async def finish(self, group: Group) -> None:
        """Nothing follows from it."""


@asynccontextmanager
async def consuming(broker: StubBroker) -> AsyncIterator[tuple[CommandConsumer, Committer]]:
    committer: Any = Committer()
    nobody: Any = None
    metrics = Metrics(CollectorRegistry())
    consumer = CommandConsumer(broker.url, committer=committer, publisher=nobody, metrics=metrics, group_max=GROUP_MAX)
    consumer.start()
    await eventually(lambda: consumer.is_consuming, what="consuming")
    yield consumer, committer
    await consumer.stop(within_s=5)


def deliver(peer: Peer, *, deliveries_before: int = 0) -> str:
    """Says which command it was."""
    command = post("hello")
    headers: Any = {"x-delivery-count": deliveries_before} if deliveries_before else {}
    properties = commands.Basic.Properties(user_id="gateway", message_id=command.id, headers=headers)
    peer.deliver(command.model_dump_json().encode(), properties)
    return command.id


async def settled(peer: Peer) -> None:
    await eventually(lambda: len(peer.acknowledged) > 0, what="an acknowledgement")


async def goes_on(broker: StubBroker, consumer: CommandConsumer) -> None:
    """On a new connection, with nothing of the old one in hand."""
    await eventually(lambda: len(broker.peers) > 1 and consumer.is_consuming, what="consuming again")
    peer = await eventually(lambda: broker.consuming[-1:], what="a new connection")
    deliver(peer[0], deliveries_before=4)
    await settled(peer[0])
    await eventually(lambda: consumer.oldest_age_s() == 0.0, what="nothing in hand")


def test_a_worker_goes_on_after_silence_while_it_pauses_for_a_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)

    async def work() -> None:
        broker = StubBroker().fault(commands.Basic.Cancel, falls_silent, nth=2)
        async with broker, consuming(broker) as (consumer, _):
            first = broker.peers[0]
            deliver(first)
            await eventually(lambda: broker.prefetch == RAISED and consumer.is_consuming, what="the raised prefetch")
            deliver(first, deliveries_before=3)
            await eventually(lambda: not consumer.is_consuming, what="not consuming")
            await goes_on(broker, consumer)

    on_the_services_loop(work())


def at_raising(at: type, fault: Fault) -> Moment:
    nth = 1 if at is commands.Basic.Cancel else 2
    return lambda broker: broker.fault(at, fault, nth=nth)


AT_RAISING: dict[str, Moment] = {
    f"{name} at {at.name.lower()}": at_raising(at, fault)
    for at in (commands.Basic.Cancel, commands.Basic.Qos, commands.Basic.Consume)
    for name, fault in {"silent": falls_silent, "closed": closes, "reset": resets}.items()
}


async def goes_on_while_it_raises_its_prefetch(moment: Moment) -> None:
    async with moment(StubBroker()) as broker, consuming(broker) as (consumer, _):
        deliver(broker.peers[0])
        await goes_on(broker, consumer)


@pytest.fixture(scope="module")
def raising() -> Outcomes:
    return all_at_once(goes_on_while_it_raises_its_prefetch, AT_RAISING)


@pytest.mark.parametrize("moment", AT_RAISING)
def test_a_worker_goes_on_after_a_loss_while_it_raises_its_prefetch(moment: str, raising: Outcomes) -> None:
    assert raising[moment].result() is None


def test_what_a_newer_subscription_delivers_while_suspects_of_an_older_are_settled_is_settled_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hurry(monkeypatch)

    async def work() -> None:
        async with StubBroker() as broker, consuming(broker) as (consumer, committer):
            first = broker.peers[0]
            deliver(first)
            await eventually(lambda: broker.prefetch == RAISED and consumer.is_consuming, what="the raised prefetch")
            committer.may_write.clear()
            suspects = [deliver(first, deliveries_before=3), deliver(first, deliveries_before=3)]
            await eventually(lambda: suspects[0] in _ids(committer), what="a suspect that is being written")
            resets(first, 0, None)
            await eventually(lambda: broker.consuming and broker.consuming[0] is not first, what="a new connection")
            newer = deliver(broker.consuming[0])
            assert newer not in _ids(committer)
            committer.may_write.set()
            await settled(broker.peers[1])
            assert newer in _ids(committer)

    on_the_services_loop(work())


def _defect(_: CommandConsumer) -> list[Delivery]:
    raise KeyError("a defect")


def _ids(committer: Committer) -> list[str]:
    return [work.command.id for work in committer.written]


def test_a_defect_of_the_settling_itself_gives_back_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    monkeypatch.setattr(consumers, "DEFECT_PAUSE_S", 0.05)

    async def work() -> None:
        async with StubBroker() as broker, consuming(broker) as (consumer, _):
            with monkeypatch.context() as broken:
                broken.setattr(CommandConsumer, "_gathered", _defect)
                deliver(broker.peers[0])
                await eventually(lambda: len(broker.peers[0].channels_closed) > 0, what="a channel that is given back")
            await goes_on(broker, consumer)

    on_the_services_loop(work())


AT_ATTACHING: dict[str, Moment] = {
    "reset at queue.declare": lambda broker: broker.fault(commands.Queue.Declare, resets),
    "closed at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, closes),
    "reset at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, resets),
    "silent at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, falls_silent),
}


async def order_events_are_consumed(moment: Moment) -> None:
    nobody: Any = None
    async with moment(StubBroker()) as broker:
        orders = OrderSubscription(broker.url, handler=nobody, publisher=nobody, on_refused=nobody)
        assert not await orders.is_consuming()
        async with asyncio.timeout(20):
            await orders.start()
        await eventually(lambda: broker.consuming, what="a consumer at the broker")
        assert await orders.is_consuming()
        await eventually(lambda: broker.open == broker.consuming, what="no other connection")
        await orders.stop()
        assert not await orders.is_consuming()


@pytest.fixture(scope="module")
def consuming_order_events() -> Outcomes:
    return all_at_once(order_events_are_consumed, MOMENTS | AT_ATTACHING)


@pytest.mark.parametrize("moment", MOMENTS | AT_ATTACHING)
def test_order_events_are_consumed_after_a_loss_at_any_moment(moment: str, consuming_order_events: Outcomes) -> None:
    assert consuming_order_events[moment].result() is None
