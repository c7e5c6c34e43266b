"""What a service says at its start about what it needs: queues, permissions, and a database that it can work with."""

import json
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient

from services.threads.migrate import STEPS
from shared import schema, topology
from shared.mongo import Database
from shared.schema import Step, TooNewError
from shared.verify import Topology
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import Parley
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually


def _of_threads(vhost: Vhost, *, user: str = "threads") -> Topology:
    reads = (topology.COMMANDS_QUEUE, topology.ORDERS_QUEUE)
    return Topology(vhost.url(user), service="test", reads=reads, writes=(topology.EVENTS, topology.NOTIFICATIONS))


def _delete_queue(vhost: Vhost, queue: str) -> None:
    vhost.server.address.management.call("DELETE", f"/queues/{quote(vhost.name, safe='')}/{queue}")


async def test_a_topology_that_is_complete_is_complete(vhost: Vhost) -> None:
    needed = _of_threads(vhost)
    assert await needed.trouble() == "RabbitMQ has not been looked at yet"
    await needed.until_complete()
    assert await needed.trouble() is None


async def test_a_queue_that_is_missing_is_named(vhost: Vhost) -> None:
    _delete_queue(vhost, topology.ORDERS_QUEUE)
    assert await _of_threads(vhost).missing() == ["queue threads.orders is missing"]


async def test_an_exchange_that_the_user_may_not_write_to_is_named(vhost: Vhost) -> None:
    missing = await _of_threads(vhost, user="notifier").missing()
    assert [line.split(" may not be used")[0] for line in missing] == [
        "exchange parley.events",
        "exchange parley.notifications",
    ]


async def test_looking_takes_no_message_and_changes_nothing(vhost: Vhost) -> None:
    path = f"/bindings/{quote(vhost.name, safe='')}"
    before = vhost.server.address.management.call("GET", path)
    await _of_threads(vhost).missing()
    assert vhost.server.address.management.call("GET", path) == before


async def test_a_worker_without_its_queue_is_not_ready_and_says_which(parley: Parley) -> None:
    _delete_queue(parley.vhost, topology.ORDERS_QUEUE)
    parley.start("threads")
    threads = parley.services["threads"]
    await eventually(lambda: "queue threads.orders is missing" in threads.text_of("/readyz"), what="the queue's name")
    assert threads.status_of("/livez") == 200
    said = [line for line in threads.log_events if line["event"] == "rabbitmq_not_as_needed"]
    assert [line["missing"] for line in said] == [["queue threads.orders is missing"]]


async def _nothing(_: Database) -> None:
    """A step that changes nothing."""


@pytest.fixture
def store(fresh_database: FreshDatabases, mongo_client: AsyncMongoClient[dict[str, object]]) -> Database:
    return mongo_client[fresh_database()]


async def test_steps_run_once_and_in_order(store: Database) -> None:
    ran: list[int] = []

    def step(version: int) -> Step:
        async def run(_: Database) -> None:
            ran.append(version)

        return Step(version, f"step {version}", run)

    await schema.migrate(store, [step(1)])
    await schema.migrate(store, [step(1), step(2), step(3)])
    assert ran == [1, 2, 3]
    assert await schema.stored(store) == (3, 1)


async def test_a_step_that_fails_is_done_again(store: Database) -> None:
    attempts: list[int] = []

    async def run(_: Database) -> None:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError):
        await schema.migrate(store, [Step(1, "half-way at first", run)])
    await schema.migrate(store, [Step(1, "half-way at first", run)])
    assert (len(attempts), await schema.stored(store)) == (2, (1, 1))


async def test_the_release_before_works_with_an_expanded_database_and_not_with_a_contracted_one(
    store: Database,
) -> None:
    before = [Step(1, "first", _nothing)]
    expanded = [*before, Step(2, "adds a field", _nothing)]
    contracted = [*expanded, Step(3, "takes the old field away", _nothing, usable_from=2)]
    await schema.migrate(store, expanded)
    await schema.require_usable(store, before)
    await schema.migrate(store, contracted)
    await schema.require_usable(store, expanded)
    with pytest.raises(TooNewError, match="can be used from 2 on; this release knows 1"):
        await schema.require_usable(store, before)


async def test_a_worker_on_a_database_of_a_later_release_is_not_ready_and_says_why(
    parley: Parley, mongo_client: AsyncMongoClient[dict[str, object]], mongo: SharedMongo
) -> None:
    later = [*STEPS, Step(99, "of a later release", _nothing, usable_from=98)]
    await schema.migrate(mongo_client[parley.database_names["threads"]], later)
    parley.start("threads")
    threads = parley.services["threads"]
    await eventually(lambda: "can be used from 98 on" in threads.text_of("/readyz"), what="the reason")
    assert json.loads(threads.text_of("/readyz"))["status"] == "not ready"
