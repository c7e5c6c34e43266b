"""A RabbitMQ whose disk was full: it stays up, confirms nothing, and has to be restarted; the gateway says so, and comes back by itself."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from deploy.local import rabbitmq as installed
from deploy.local.errors import StackError
from tests.integration.gateway.conftest import Api, NewGateway
from tests.servers.providers import local_rabbit
from tests.servers.rabbitmq import SharedRabbit, make_vhost
from tests.servers.small_disk import SmallDisk, small_disk
from tests.servers.waiting import eventually

DISK_MB = 400
PATIENCE_S = 60.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """The one that a private RabbitMQ keeps its data on."""
    with small_disk(tmp_path / "rabbitmq", size_mb=DISK_MB) as disk:
        if not disk.is_there:
            pytest.skip("this user may not mount a small disk")
        yield disk


@pytest.fixture
def on_it(disk: SmallDisk, tmp_path: Path) -> Iterator[SharedRabbit]:
    try:
        installed.require_installed()
    except StackError as missing:
        pytest.skip(str(missing))
    with local_rabbit(tmp_path) as server:
        yield server


async def test_a_full_disk_is_said_until_rabbitmq_confirms_again(
    disk: SmallDisk, on_it: SharedRabbit, new_gateway: NewGateway, session: aiohttp.ClientSession
) -> None:
    api = Api(await new_gateway(on=make_vhost(on_it)).ready(), session)
    assert (await api.post(Prefer="respond-async")).status == 202

    async def said() -> str:
        return str((await api.call("GET", "/readyz")).json["missing"].get("writes", ""))

    async def nothing_is_confirmed() -> bool:
        """RabbitMQ meets the end of its disk at a write."""
        seen = await api.post("x" * 10_000, Prefer="respond-async")
        return seen.status == 503 and "confirmed no publish" in await said()

    disk.fill()
    await eventually(nothing_is_confirmed, timeout_s=PATIENCE_S, what="a write that is not confirmed")
    disk.clear()
    assert (await api.post(Prefer="respond-async")).status == 503
    assert "confirmed no publish" in await said()

    on_it.kill()
    on_it.start()

    async def is_ready() -> bool:
        return bool((await api.call("GET", "/readyz")).json["status"] == "ready")

    await eventually(is_ready, timeout_s=PATIENCE_S, what="the gateway being ready, unasked")
    assert (await api.post(Prefer="respond-async")).status == 202
