"""A MongoDB in which everybody must sign in, as in the local stack and in containers."""

from collections.abc import Iterator

import pytest
from pymongo import MongoClient

from deploy.local import mongod_binary
from deploy.local.credentials import mongo_key_file
from deploy.local.errors import StackError
from deploy.local.mongodb import Access, MongoServer
from deploy.local.ports import free_port
from deploy.local.progress import Progress
from deploy.mongo_access import DATABASES, OPERATOR, with_user
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import CREDENTIALS
from tests.servers.providers import TOOLS, LocalMongo, short_lived_children


class GuardedMongo(SharedMongo):
    """Gives the address with the credentials of one user; without any, nobody may do a thing."""

    def url_of(self, user: str) -> str:
        return with_user(self.url, user, CREDENTIALS.mongo[user])

    def empty(self) -> None:
        """Drops what the services of a test wrote."""
        with MongoClient[dict[str, object]](self.url_of(OPERATOR)) as operator:
            for database in DATABASES:
                operator.drop_database(database)


@pytest.fixture(scope="session")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMongo]:
    directory = tmp_path_factory.mktemp("guarded")
    try:
        binary = mongod_binary.find(TOOLS, Progress())
    except StackError as missing:
        pytest.skip(f"a mongod with users needs one on this machine: {missing}")
    server = MongoServer(
        directory / "mongo",
        port=free_port(),
        binary=binary,
        children=short_lived_children(directory),
        access=Access(mongo_key_file(directory), CREDENTIALS.mongo),
    )
    try:
        server.start()
        server.wait_ready()
        yield GuardedMongo(server.url, LocalMongo(server))
    finally:
        server.kill()


@pytest.fixture
def guarded_mongo(guarded_server: GuardedMongo) -> Iterator[GuardedMongo]:
    """MongoDB with its users; what a test wrote into the services' databases is dropped after it."""
    yield guarded_server
    guarded_server.empty()
