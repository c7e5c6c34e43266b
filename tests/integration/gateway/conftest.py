"""A real gateway process on a real RabbitMQ, with stand-ins for threads."""

import json
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from deploy.local.ports import LOOPBACK, free_port
from shared.tokens import mint_guest_session
from tests.integration.gateway.standins import QueryApi, Worker
from tests.servers.rabbitmq import Vhost
from tests.servers.services import ServiceProcess

TOKEN_SECRET = "token-secret-of-the-tests-32-bytes-and-more"
LINK_SECRET = "link-secret-of-the-tests-32-bytes-and-more"
COMMAND_ID_SECRET = "command-id-secret-of-the-tests-32-bytes"
SLOWEST_S = 20


def token(role: str = "customer", person: str = "c-7", *, life_s: float = 600, **claims: Any) -> str:
    """A bearer token of the demo shop's."""
    whole = {"iss": "shop", "aud": "parley", "sub": person, "role": role, "name": person, "exp": time.time() + life_s}
    return jwt.encode(whole | claims, TOKEN_SECRET, algorithm="HS256")


def guest(order_id: str = "1042") -> str:
    link = {"sub": "c-7", "name": "Ada", "order_id": order_id}
    return mint_guest_session(link, secret=LINK_SECRET, now=time.time())


class Api:
    """The gateway as a client sees it."""

    def __init__(self, gateway: ServiceProcess, session: aiohttp.ClientSession) -> None:
        self.gateway, self.session = gateway, session

    async def call(
        self,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        body: Any = None,
        data: bytes | AsyncIterable[bytes] | None = None,
        **headers: str,
    ) -> "Seen":
        """Header names with underscores: `idempotency_key="k"`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        async with self.session.request(
            method, self.gateway.url + path, json=body, data=data, headers=sent, allow_redirects=False
        ) as response:
            return Seen(response.status, response.headers.copy(), await response.read())

    async def post(
        self, text: str = "Hello", *, order_id: str = "1042", bearer: str | None = None, **headers: str
    ) -> "Seen":
        path = f"/v1/orders/{order_id}/messages"
        return await self.call("POST", path, bearer=bearer or token(), body={"text": text}, data=None, **headers)


class Seen:
    """An answer."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


NewGateway = Callable[..., ServiceProcess]


def environment(vhost: Vhost, query_api: QueryApi) -> dict[str, str]:
    """A gateway's settings."""
    return {
        "AMQP_URL": vhost.url("gateway"),
        "THREADS_URL": f"http://{LOOPBACK}:{query_api.port}",
        "TOKEN_ISSUER": "shop",
        "TOKEN_DEMO_SECRET": TOKEN_SECRET,
        "LINK_SECRET": LINK_SECRET,
        "COMMAND_ID_SECRET": COMMAND_ID_SECRET,
        "PERSON_WRITES_PER_S": "0",
        "PERSON_KEPT_MB_PER_H": "0",
        "THREAD_WRITES_PER_S": "0",
    }


@pytest.fixture
def new_gateway(vhost: Vhost, query_api: QueryApi, tmp_path: Path) -> Iterator[NewGateway]:
    """Starts gateways on the test's virtual host, or on another: `new_gateway(LIVE_RING_BYTES="10000")`."""
    made: list[ServiceProcess] = []

    def make(*, on: Vhost = vhost, **settings: str) -> ServiceProcess:
        label = f"gateway-{len(made)}"
        made.append(ServiceProcess("gateway", environment(on, query_api) | settings, directory=tmp_path, label=label))
        return made[-1].start()

    yield make
    for process in made:
        process.kill()


@pytest.fixture
async def query_api() -> AsyncIterator[QueryApi]:
    async with QueryApi(free_port()).serving() as serving:
        yield serving


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=SLOWEST_S)
    async with aiohttp.ClientSession(
        timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True)
    ) as session:
        yield session


@pytest.fixture
async def api(new_gateway: NewGateway, session: aiohttp.ClientSession) -> Api:
    """A gateway that publishes, hears replies, and follows the live stream."""
    return Api(await new_gateway().ready(), session)


@pytest.fixture
async def worker(vhost: Vhost) -> AsyncIterator[Worker]:
    async with Worker(vhost).working() as working:
        yield working
