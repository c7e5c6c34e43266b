"""Readiness is said of results: a RabbitMQ that is connected and confirms nothing is not one that can be written to."""

from collections.abc import Callable

import pytest

from tests.integration.gateway.conftest import Api
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.waiting import eventually

NOTICED_WITHIN_S = 40


async def _missing(api: Api) -> str:
    seen = await api.call("GET", "/readyz")
    return str(seen.json["missing"].get("writes", ""))


def _says(api: Api, what: str) -> Callable[[], object]:
    async def look() -> bool:
        return what in await _missing(api)

    return look


async def _is_ready(api: Api) -> bool:
    return bool((await api.call("GET", "/readyz")).json["status"] == "ready")


@pytest.mark.parametrize("posts", [1, 0], ids=["after a write", "without any write"])
async def test_a_gateway_whose_publishes_are_not_confirmed_says_so_and_comes_back_by_itself(
    api: Api, rabbitmq: SharedRabbit, posts: int
) -> None:
    rabbitmq.pause()
    for _ in range(posts):
        assert (await api.post()).json["outcome"] == "unknown"
    await eventually(_says(api, "confirmed no publish"), timeout_s=NOTICED_WITHIN_S, what="the doubt being said")
    figures = (await api.call("GET", "/metrics")).body.decode()
    [line] = [line for line in figures.splitlines() if line.startswith("parley_gateway_unconfirmed_seconds ")]
    assert float(line.split()[1]) > 0

    rabbitmq.resume()
    await eventually(lambda: _is_ready(api), timeout_s=NOTICED_WITHIN_S, what="the gateway being ready, unasked")
    assert (await api.post(Prefer="respond-async")).status == 202
