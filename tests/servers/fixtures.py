"""The fixtures of this package, as a pytest plugin: `pytest_plugins = ["tests.servers.fixtures"]` in the top conftest.

Servers start when the first test asks for one, live as long as the session, and are brought back after a test that stopped
them. What tests write is apart: a virtual host, databases, and an SMTP server for each test.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import Parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit, Vhost, make_vhost
from tests.servers.smtp import SmtpServer

Document = dict[str, Any]


@pytest.fixture(scope="session")
def servers_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the session's servers keep their data and logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def rabbitmq_server(servers_directory: Path) -> Iterator[SharedRabbit]:
    """The session's broker. Tests take `rabbitmq` or `vhost`."""
    with shared_rabbit(servers_directory) as server:
        yield server


@pytest.fixture
def rabbitmq(rabbitmq_server: SharedRabbit) -> Iterator[SharedRabbit]:
    """The broker, running; whatever the test does to it is undone afterwards."""
    yield rabbitmq_server
    rabbitmq_server.bring_back()


@pytest.fixture
def fresh_vhost(rabbitmq: SharedRabbit) -> Iterator[Callable[..., Vhost]]:
    """Makes virtual hosts with the whole topology: `fresh_vhost(max_queued=10)`."""
    made: list[Vhost] = []

    def make(**options: int) -> Vhost:
        made.append(make_vhost(rabbitmq, **options))
        return made[-1]

    yield make
    rabbitmq.bring_back()
    for vhost in made:
        vhost.delete()


@pytest.fixture
def vhost(fresh_vhost: Callable[..., Vhost]) -> Vhost:
    """A virtual host of the test's own with Parley's exchanges, queues, users and permissions."""
    return fresh_vhost()


@pytest.fixture(scope="session")
def mongo_server(servers_directory: Path) -> Iterator[SharedMongo]:
    """The session's MongoDB. Tests take `mongo`, `fresh_database` or `database`."""
    with shared_mongo(servers_directory) as server:
        yield server


@pytest.fixture
def mongo(mongo_server: SharedMongo) -> Iterator[SharedMongo]:
    """MongoDB, running; whatever the test does to it is undone afterwards."""
    yield mongo_server
    mongo_server.bring_back()


@pytest.fixture
def fresh_database(mongo: SharedMongo) -> Iterator[FreshDatabases]:
    """Makes names of databases that are dropped after the test: `fresh_database("threads")`."""
    databases = FreshDatabases(mongo)
    yield databases
    mongo.bring_back()
    databases.drop()


@pytest.fixture
async def mongo_client(mongo: SharedMongo) -> AsyncIterator[AsyncMongoClient[Document]]:
    """A client on the test's event loop."""
    async with AsyncMongoClient[Document](mongo.url, tz_aware=True, serverSelectionTimeoutMS=5_000) as client:
        yield client


@pytest.fixture
async def database(fresh_database: FreshDatabases, mongo_client: AsyncMongoClient[Document]) -> AsyncDatabase[Document]:
    """An empty database of the test's own."""
    return mongo_client[fresh_database()]


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    """An SMTP server of the test's own that accepts everything until it is told otherwise."""
    server = SmtpServer()
    server.start()
    yield server
    server.close()


@pytest.fixture
def fresh_parley(
    fresh_vhost: Callable[..., Vhost],
    mongo: SharedMongo,
    fresh_database: FreshDatabases,
    smtp: SmtpServer,
    tmp_path: Path,
) -> Iterator[Callable[..., Parley]]:
    """Makes whole Parleys whose services are not started yet: `fresh_parley(max_queued=10)`."""
    made: list[Parley] = []

    def make(**options: int) -> Parley:
        directory = tmp_path / f"parley-{len(made)}"
        parley = Parley(
            vhost=fresh_vhost(**options), mongo=mongo, databases=fresh_database, smtp=smtp, directory=directory
        )
        made.append(parley)
        return parley

    yield make
    for parley in made:
        parley.kill()


@pytest.fixture
def parley(fresh_parley: Callable[..., Parley]) -> Parley:
    """A Parley of the test's own, with no service started: `parley.start()`, then `await parley.ready()`."""
    return fresh_parley()


@pytest.fixture
async def running_parley(parley: Parley) -> Parley:
    """A Parley of the test's own with its three services ready."""
    parley.start()
    await parley.ready()
    return parley
