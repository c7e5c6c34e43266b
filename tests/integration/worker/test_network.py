"""A worker behind a bad network: whatever is cut or silent, it works again as soon as RabbitMQ can be reached."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest

from deploy.local.ports import LOOPBACK
from tests.integration.worker.wire import Wire
from tests.made import post, snapshot
from tests.servers.parley import Parley
from tests.servers.proxy import Proxy, ProxyLoop
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

CUTS = 25


@pytest.fixture
def network(parley: Parley) -> Iterator[Proxy]:
    runner = ProxyLoop()
    proxy = Proxy(runner, parley.vhost.server.address.port).start()
    yield proxy
    proxy.close()
    runner.close()


def worker_behind(network: Proxy, parley: Parley, **settings: str) -> ServiceProcess:
    """Not started yet. The heartbeat in the URL comes first and counts: silence is noticed within seven seconds."""
    direct = urlsplit(parley.vhost.url("threads"))
    through = direct._replace(
        netloc=f"{direct.username}:{direct.password}@{LOOPBACK}:{network.port}", query="heartbeat=1"
    )
    return parley.add("threads", AMQP_URL=through.geturl(), **settings)


def another_connection(worker: ServiceProcess) -> Callable[[], bool]:
    """Whether one has come or gone since now."""

    def seen() -> int:
        return sum(line["event"] in ("rabbitmq_connected", "rabbitmq_disconnected") for line in worker.log_events)

    before = seen()
    return lambda: seen() > before


async def works(worker: ServiceProcess, wire: Wire) -> None:
    """It consumes orders and commands, and says so."""
    await worker.ready(timeout_s=60)
    await wire.order(snapshot())
    answer = await wire.ask(post("hello"), timeout_s=30)
    assert answer.status == 201
    assert not [line for line in worker.log_events if line["event"] == "background_task_ended"]


async def test_a_worker_whose_connections_are_cut_again_and_again_while_it_starts_works_in_the_end(
    parley: Parley, network: Proxy, wire: Wire
) -> None:
    worker = worker_behind(network, parley).start()
    for _ in range(CUTS):
        await eventually(another_connection(worker), what="another connection")
        network.cut()
    await works(worker, wire)


@pytest.mark.parametrize("stands", ["rabbitmq_connected", "worker_started"])
async def test_a_worker_whose_network_falls_silent_is_not_ready_and_works_once_it_is_not(
    stands: str, parley: Parley, network: Proxy, wire: Wire
) -> None:
    worker = worker_behind(network, parley, ROLES="worker").start()
    await eventually(lambda: stands in worker.log, what=stands, every_s=0.002)
    network.stall()
    await eventually(lambda: json.loads(worker.text_of("/readyz") or "{}").get("wrong"), what="not being ready")
    await eventually(lambda: "not consuming commands" in worker.text_of("/readyz"), what="silence being noticed")
    network.heal()
    await works(worker, wire)
