"""What a service says at its start about what it needs: queues, permissions, and a database that it can work with."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from pymongo import AsyncMongoClient

from deploy.local.settings import REPOSITORY
from services.notifier.migrate import STEPS as NOTIFIER_STEPS
from services.threads.migrate import STEPS
from shared import schema, topology
from shared.mongo import Database
from shared.schema import Step, TooNewError
from shared.verify import Topology
from tests.e2e.client import clients_of
from tests.faults.held import HELD
from tests.servers.mongodb import FreshDatabases
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


@pytest.mark.parametrize(("service", "steps"), [("threads", STEPS), ("notifier", NOTIFIER_STEPS)])
async def test_a_service_on_a_database_of_a_later_release_is_not_ready_and_says_why(
    parley: Parley, mongo_client: AsyncMongoClient[dict[str, object]], service: str, steps: Sequence[Step]
) -> None:
    later = [*steps, Step(99, "of a later release", _nothing, usable_from=98)]
    await schema.migrate(mongo_client[parley.database_names[service]], later)
    parley.start(service)
    process = parley.services[service]
    await eventually(lambda: "can be used from 98 on" in process.text_of("/readyz"), what="the reason")
    assert json.loads(process.text_of("/readyz"))["status"] == "not ready"


@pytest.mark.parametrize("service", ["threads", "notifier"])
async def test_a_database_can_be_brought_to_its_version_before_any_service_starts(parley: Parley, service: str) -> None:
    command = [sys.executable, "-m", f"services.{service}.migrate"]
    said = []
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            env={**os.environ, **parley.environment(service)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        said.append(done.stdout.splitlines())
    name = parley.database_names[service]
    now = f"{name}: at version 1; missing indexes: none"
    assert said == [[f"{name}: version 1, the indexes of the first release", now], [now]]


@pytest.mark.parametrize(("roles", "status", "named"), [("worker", 503, "wrong"), ("worker,api", 200, "missing")])
async def test_a_worker_that_lags_is_not_ready_but_goes_on_answering_queries(
    parley: Parley, roles: str, status: int, named: str
) -> None:
    parley.start("gateway")
    threads = parley.add("threads", module="tests.faults.held", ROLES=roles, READY_LAG_S="0.5").start()
    await threads.ready()
    async with clients_of(parley) as clients:
        await eventually(lambda: parley.services["gateway"].status_of("/readyz") == 200, what="the gateway")
        assert (await clients.customer().post(HELD, Prefer="respond-async")).status == 202

    def said() -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(threads.text_of("/readyz"))
        return found

    await eventually(lambda: "oldest command has waited for" in said()[named].get("lag", ""), what="the lag")
    assert threads.status_of("/readyz") == status
    assert threads.status_of("/livez") == 200
    # It is the worker that holds the command: none waits in the queue, nor for its order in a retry tier.
    vhost = parley.vhost
    assert (await vhost.depth(topology.COMMANDS_QUEUE), await vhost.held(topology.COMMANDS_QUEUE)) == (0, 1)
