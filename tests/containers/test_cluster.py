"""The cluster of deploy/cluster under load: every node and replica is killed once, and nothing that was accepted is lost or doubled."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial

import aiohttp
import pytest

from deploy.local.settings import REPOSITORY
from tests.containers.engine import Project, docker, require_engine
from tests.containers.load import Load
from tests.servers.pace import lasting
from tests.servers.waiting import eventually

pytestmark = pytest.mark.timeout(1_500)

VICTIMS = (
    *("rabbitmq-1", "rabbitmq-2", "rabbitmq-3", "mongo-1", "mongo-2", "mongo-3"),
    *("threads", "threads-api", "gateway", "notifier"),
)
DEAD_FOR_S = float(os.environ.get("DEAD_FOR_S", "6"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Project]:
    if os.environ.get("TEST_CLUSTER") != "1":
        pytest.skip("the cluster takes minutes and gigabytes: TEST_CLUSTER=1 asks for it")
    require_engine()
    project = Project(REPOSITORY / "deploy" / "cluster" / "compose.yml")
    try:
        project.compose("build")
        project.up()
        yield project
    finally:
        project.down()


async def test_any_node_may_die_under_load(cluster: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shown = cluster.compose(
        "run", "--rm", "--no-deps", "-T", "credentials", "deploy.containers.credentials", "show-demo"
    ).stdout
    gateways: list[str] = await asyncio.to_thread(_gateways, cluster)
    load = Load(json.loads(shown), lambda: gateways)
    writing = asyncio.create_task(load.run())
    await eventually(lambda: writing.done() or load.ledger.answers >= 50, timeout_s=60, what="fifty posts")
    for service in VICTIMS:
        for victim in await asyncio.to_thread(cluster.running, service):
            assert not writing.done(), writing.exception()
            load.ledger.new_window()
            before = load.ledger.answers
            await asyncio.to_thread(docker, "kill", victim)
            await lasting(DEAD_FOR_S)
            await asyncio.to_thread(docker, "start", victim)
            await eventually(partial(_is_well, victim), timeout_s=180, what=f"{victim} being well again")
            gateways[:] = await asyncio.to_thread(_gateways, cluster)
            await eventually(partial(load.ledger.has_more_than, before), timeout_s=60, what="an answer")
            with capsys.disabled():
                print(
                    f"      {victim:<40} killed: {load.ledger.answers - before:>6} posts, longest gap {load.ledger.gap_s:.1f} s"
                )
    load.stopping.set()
    await asyncio.wait_for(writing, 60)
    expected = {order_id: Counter(texts) for order_id, texts in load.ledger.accepted.items()}

    async def everything_is_there() -> bool:
        try:
            return {order: Counter(texts) for order, texts in (await load.stored()).items()} == expected
        except (aiohttp.ClientError, TimeoutError):
            return False

    try:
        await eventually(everything_is_there, timeout_s=60, what="every accepted post")
    finally:
        stored = {order: Counter(texts) for order, texts in (await load.stored()).items()}
        lost = sum((expected[order] - stored[order]).total() for order in expected)
        doubled = sum((stored[order] - expected[order]).total() for order in expected)
        with capsys.disabled():
            print(
                f"      accepted {load.ledger.answers}, refused and repeated {load.ledger.refused}, lost {lost}, doubled {doubled}"
            )
    audit = await asyncio.to_thread(
        cluster.compose,
        "run",
        "--rm",
        "--no-deps",
        "-T",
        "--entrypoint",
        "python",
        "ctl",
        "-m",
        "deploy.containers.ctl",
        "audit",
    )
    with capsys.disabled():
        print(f"      audit: {audit.stdout.strip().splitlines()[-1]}")


def _gateways(project: Project) -> list[str]:
    return [f"http://{address}:8080" for name in project.running("gateway") if (address := _address(name))]


def _address(name: str) -> str:
    networks = json.loads(docker("inspect", name))[0]["NetworkSettings"]["Networks"]
    address: str = next(iter(networks.values()))["IPAddress"]
    return address


async def _is_well(name: str) -> bool:
    state = json.loads(await asyncio.to_thread(docker, "inspect", name))[0]["State"]
    return bool(state["Status"] == "running" and state.get("Health", {}).get("Status") == "healthy")
