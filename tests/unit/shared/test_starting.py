"""What a service starts with comes to stand, at whatever moment RabbitMQ is lost the first time."""

import asyncio

import pytest
from pamqp import commands

from shared.publishing import Outgoing, Publisher, PublishUnknown
from shared.verify import Topology
from tests.servers.amqp_stub import Fault, StubBroker, closes, falls_silent, resets
from tests.servers.waiting import eventually
from tests.unit.shared.losses import MOMENTS, Moment, Outcomes, all_at_once, hurry, on_the_services_loop

AT_LOOKING: dict[str, Moment] = {
    "reset at queue.declare": lambda broker: broker.fault(commands.Queue.Declare, resets),
    "closed at queue.declare": lambda broker: broker.fault(commands.Queue.Declare, closes),
    "silent at exchange.declare": lambda broker: broker.fault(commands.Exchange.Declare, falls_silent),
    "silent at connection.close": lambda broker: broker.fault(commands.Connection.Close, falls_silent),
}
AT_CONFIRMING: dict[str, Moment] = {
    "reset at confirm.select": lambda broker: broker.fault(commands.Confirm.Select, resets),
    "silent at confirm.select": lambda broker: broker.fault(commands.Confirm.Select, falls_silent),
    "lost twice": lambda broker: broker.fault(commands.Channel.Open, resets).fault(
        commands.Channel.Open, closes, nth=2
    ),
}


async def connects(moment: Moment) -> None:
    async with moment(StubBroker()) as broker:
        publisher = Publisher(broker.url, name="test")
        publisher.start()
        await eventually(lambda: publisher.is_connected, what="a channel to publish on")
        assert await publisher.trouble() is None
        await publisher.close()


@pytest.fixture(scope="module")
def connecting() -> Outcomes:
    return all_at_once(connects, MOMENTS | AT_CONFIRMING)


@pytest.mark.parametrize("moment", MOMENTS | AT_CONFIRMING)
def test_a_publisher_connects_after_a_loss_at_any_moment(moment: str, connecting: Outcomes) -> None:
    assert connecting[moment].result() is None


@pytest.mark.parametrize("then", [resets, closes, falls_silent])
def test_a_publisher_that_is_blocked_when_it_loses_its_connection_publishes_again(
    then: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)

    async def publishes_again() -> None:
        async with StubBroker() as broker:
            publisher = Publisher(broker.url, name="test")
            await publisher.connected()
            (peer,) = broker.peers
            peer.say(0, commands.Connection.Blocked("low on memory"))
            await eventually(publisher.trouble, what="being blocked")
            then(peer, 0, None)
            await eventually(lambda: len(broker.peers) == 2, what="another connection")

            async def is_well() -> bool:
                return await publisher.trouble() is None

            await eventually(is_well, what="a channel to publish on")
            await publisher.close()

    on_the_services_loop(publishes_again())


async def looks(moment: Moment) -> None:
    async with moment(StubBroker()) as broker, asyncio.timeout(30):
        topology = Topology(broker.url, service="test", reads=["a queue"], writes=["an exchange"])
        await topology.until_complete()
        assert await topology.trouble() is None


@pytest.fixture(scope="module")
def looking() -> Outcomes:
    return all_at_once(looks, MOMENTS | AT_LOOKING)


@pytest.mark.parametrize("moment", MOMENTS | AT_LOOKING)
def test_the_topology_is_looked_at_again_after_a_loss_at_any_moment(moment: str, looking: Outcomes) -> None:
    assert looking[moment].result() is None


@pytest.mark.parametrize("fault", [falls_silent, resets, closes])
def test_a_publish_on_a_connection_that_is_lost_has_an_unknown_outcome(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)

    async def publishes() -> None:
        async with StubBroker().fault(commands.Basic.Publish, fault) as broker:
            publisher = Publisher(broker.url, name="test")
            await publisher.connected()
            with pytest.raises(PublishUnknown):
                await publisher.publish(Outgoing("an exchange", "a key", b"{}", message_id="m-1"))
            await publisher.close()

    on_the_services_loop(publishes())
