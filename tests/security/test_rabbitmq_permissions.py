"""Who may do what in RabbitMQ: every exchange and queue that is there, every verb, tried with each service's own credentials."""

from collections.abc import AsyncIterator, Iterator

import aiormq
import pytest

from shared.topology import DEAD, WORK_QUEUES, dead_queue, retry_queue, tiers
from tests.security import wire
from tests.security.wire import User, who_may
from tests.servers.rabbitmq import PASSWORDS, Management, Refused, SharedRabbit, Vhost, make_vhost

SERVICES = ("gateway", "threads", "notifier", "shop")
NOBODY: frozenset[str] = frozenset()

# RabbitMQ makes these in every virtual host. The default exchange ("") leads straight into every queue.
BUILT_IN = dict.fromkeys(
    ("", *(f"amq.{kind}" for kind in ("direct", "fanout", "headers", "match", "topic", "rabbitmq.trace"))), NOBODY
)

# exchange: who may publish there. What stands in RabbitMQ and not here fails the first test.
PUBLISH: dict[str, frozenset[str]] = BUILT_IN | {
    "shop.orders": frozenset({"gateway", "shop"}),
    "parley.commands": frozenset({"gateway"}),
    "parley.events": frozenset({"threads"}),
    "parley.notifications": frozenset({"threads"}),
    "parley.dead": frozenset({"threads", "notifier"}),
    "parley.replies": frozenset({"threads"}),
    "threads.retry": frozenset({"threads"}),
    "notifier.retry": frozenset({"notifier"}),
}

# exchange: who may bind a queue of their own to it, and so read what passes.
BIND: dict[str, frozenset[str]] = dict.fromkeys(PUBLISH, NOBODY) | {
    "parley.events": frozenset({"shop"}),
    "parley.replies": frozenset({"gateway"}),
}

# queue: who may read it.
CONSUME: dict[str, frozenset[str]] = {
    "parley.live": frozenset({"gateway"}),
    "parley.canary": NOBODY,
    "threads.orders": frozenset({"threads"}),
    "threads.commands": frozenset({"threads"}),
    "notifier.events": frozenset({"notifier"}),
    **{dead_queue(queue): NOBODY for queue in WORK_QUEUES},
    **{retry_queue(queue, tier): NOBODY for queue in WORK_QUEUES for tier in tiers(queue)},
}

# What is parked: under which of the dead-letter exchange's keys.
PARK: dict[str, frozenset[str]] = {
    "threads.orders": frozenset({"threads"}),
    "threads.commands": frozenset({"threads"}),
    "notifier.events": frozenset({"notifier"}),
    "anything.else": NOBODY,
}

# A new name: who may declare a queue or an exchange that is called so.
DECLARE: dict[str, frozenset[str]] = {
    "": NOBODY,
    "anything": NOBODY,
    "parley.more": NOBODY,
    "parley.replies": NOBODY,
    "threads.more": NOBODY,
    "notifier.more": NOBODY,
    "parley.replies.test": frozenset({"gateway"}),
    "shop-test": frozenset({"shop"}),
}


@pytest.fixture(scope="module")
def vhost(rabbitmq_server: SharedRabbit) -> Iterator[Vhost]:
    vhost = make_vhost(rabbitmq_server)
    yield vhost
    vhost.delete()


@pytest.fixture(scope="module")
async def users(vhost: Vhost) -> AsyncIterator[list[User]]:
    async with wire.signed_in({name: vhost.url(name) for name in SERVICES}) as users:
        yield users


def test_every_exchange_and_queue_that_is_there_has_its_row(vhost: Vhost) -> None:
    management = vhost.server.address.management
    exchanges = {each["name"] for each in management.call("GET", f"/exchanges/{vhost.name}")}
    queues = {each["name"] for each in management.call("GET", f"/queues/{vhost.name}")}
    assert exchanges - {"amq.rabbitmq.log"} == set(PUBLISH) == set(BIND)
    assert queues == set(CONSUME)


@pytest.mark.parametrize(("exchange", "expected"), PUBLISH.items(), ids=lambda each: each or "default")
async def test_only_its_publishers_publish_to_an_exchange(
    users: list[User], exchange: str, expected: frozenset[str]
) -> None:
    # Dead letters are published under the name of a queue of one's own.
    keys = {"threads": "threads.orders", "notifier": "notifier.events"} if exchange == DEAD else {}
    actual = await who_may(users, lambda name: wire.publish(exchange, keys.get(name, wire.NEVER_BOUND)))
    assert actual == expected


@pytest.mark.parametrize("queue", CONSUME)
async def test_nobody_puts_a_message_straight_into_a_queue(users: list[User], queue: str) -> None:
    """Through the default exchange, whose routing keys are queues' names."""
    assert await who_may(users, lambda _: wire.publish("", queue)) == NOBODY


@pytest.mark.parametrize(("key", "expected"), PARK.items())
async def test_a_service_parks_only_what_came_from_its_own_queues(
    users: list[User], key: str, expected: frozenset[str]
) -> None:
    assert await who_may(users, lambda _: wire.publish(DEAD, key)) == expected


@pytest.mark.parametrize(("exchange", "expected"), BIND.items(), ids=lambda each: each or "default")
async def test_only_its_readers_bind_a_queue_to_an_exchange(
    users: list[User], exchange: str, expected: frozenset[str]
) -> None:
    assert await who_may(users, wire.bind_to(exchange, wire.own_queue)) == expected


@pytest.mark.parametrize(("queue", "expected"), CONSUME.items())
async def test_only_its_reader_consumes_a_queue(users: list[User], queue: str, expected: frozenset[str]) -> None:
    assert await who_may(users, lambda _: wire.consume(queue)) == expected


@pytest.mark.parametrize("exchange", [name for name in PUBLISH if name not in BUILT_IN])
async def test_nobody_deletes_an_exchange(users: list[User], exchange: str) -> None:
    assert await who_may(users, lambda _: wire.delete_exchange(exchange)) == NOBODY


@pytest.mark.parametrize("queue", CONSUME)
async def test_nobody_deletes_a_queue(users: list[User], queue: str) -> None:
    assert await who_may(users, lambda _: wire.delete_queue(queue)) == NOBODY


@pytest.mark.parametrize(("name", "expected"), DECLARE.items(), ids=lambda each: each or "named by the server")
async def test_only_reply_queues_and_the_shops_own_may_be_declared(
    users: list[User], name: str, expected: frozenset[str]
) -> None:
    assert await who_may(users, lambda _: wire.declare_queue(name)) == expected
    if name and name != "parley.replies":
        assert await who_may(users, lambda _: wire.declare_exchange(name)) == expected


@pytest.mark.parametrize("name", ["shop", "gateway"])
async def test_nobody_publishes_under_another_users_name(users: list[User], name: str) -> None:
    """`user_id` is what threads believes: a command counts only from `gateway`, an order event from `gateway` or `shop`."""
    (user,) = (user for user in users if user.name == name)
    exchange = "shop.orders" if name == "shop" else "parley.commands"
    assert await user.may(wire.publish(exchange, as_user=name))
    with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
        await user.may(wire.publish(exchange, as_user="threads"))


@pytest.mark.parametrize("user", SERVICES)
async def test_a_service_reaches_no_other_virtual_host(vhost: Vhost, user: str) -> None:
    with pytest.raises(aiormq.exceptions.AMQPError):
        await aiormq.connect(vhost.server.url(user, "/"))


@pytest.mark.parametrize("user", SERVICES)
def test_a_service_does_not_get_into_the_management_api(vhost: Vhost, user: str) -> None:
    operator = vhost.server.address.management
    assert operator.call("GET", "/whoami")["name"] == "operator"
    own = Management(vhost.server.address.host, operator.port, user=user, password=PASSWORDS[user])
    with pytest.raises(Refused, match=" 401 "):
        own.call("GET", f"/queues/{vhost.name}")
