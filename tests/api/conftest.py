"""Fixtures for tests of the public API: one running Parley for a whole module, because its start costs three seconds.

Tests in a module keep out of each other's way by orders of their own.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.api.people import People
from tests.e2e.client import Clients, clients_of
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley, own_parley
from tests.servers.rabbitmq import SharedRabbit


@pytest.fixture(scope="module")
def module_parley(
    rabbitmq_server: SharedRabbit, mongo_server: SharedMongo, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Parley]]:
    """Makes Parleys that live as long as the module, their services not started yet."""
    with ExitStack() as exits:
        yield lambda: exits.enter_context(own_parley(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("parley")))


@pytest.fixture(scope="module")
async def shop(module_parley: Callable[[], Parley]) -> Parley:
    """The module's Parley, its three services ready."""
    parley = module_parley()
    parley.start()
    await parley.ready()
    return parley


@pytest.fixture(scope="module")
async def api(shop: Parley) -> AsyncIterator[Clients]:
    """Clients of the module's Parley."""
    async with clients_of(shop) as clients:
        yield clients


@pytest.fixture(scope="module")
def people(shop: Parley) -> People:
    """Everybody who may come along, with their tokens."""
    return People()
