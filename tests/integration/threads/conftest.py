"""The query API over a database of the module's own, whose tests only read what was written first."""

from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI
from pymongo import AsyncMongoClient

from services.threads import indexes
from shared import mongo
from shared.callers import Caller
from shared.mongo import Database, Document
from tests.integration.threads.asking import Client, Recorder, application
from tests.integration.threads.documents import Shop
from tests.servers.mongodb import FreshDatabases, SharedMongo

Ask = Callable[[Caller | None], Client]


@pytest.fixture(scope="session")
def recorder() -> Recorder:
    """What the driver has sent."""
    return Recorder()


@pytest.fixture(scope="session")
async def recorded_client(mongo_server: SharedMongo, recorder: Recorder) -> AsyncIterator[AsyncMongoClient[Document]]:
    client: AsyncMongoClient[Document] = AsyncMongoClient(mongo_server.url, tz_aware=True, event_listeners=[recorder])
    yield client
    await client.close()


@pytest.fixture(scope="module")
async def stored(mongo_server: SharedMongo, recorded_client: AsyncMongoClient[Document]) -> AsyncIterator[Database]:
    """threads' database, with its indexes."""
    databases = FreshDatabases(mongo_server)
    database = mongo.database(recorded_client, databases("threads"))
    await indexes.ensure(database)
    yield database
    databases.drop()


@pytest.fixture(scope="module")
def app(stored: Database) -> FastAPI:
    return application(stored)


@pytest.fixture(scope="module")
def ask(app: FastAPI) -> Ask:
    """A client for a caller."""
    return lambda caller: Client(app, caller)


@pytest.fixture(scope="module")
def shop(stored: Database) -> Shop:
    return Shop(stored)
