"""Offices for tests: started by the test, stopped after it."""

from collections.abc import AsyncIterator, Callable

import pytest

from services.notifier import indexes
from shared import mongo as shared_mongo
from shared.mongo import Database
from tests.integration.notifier.office import Office, Rules
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.smtp import SmtpServer

MakeOffice = Callable[..., Office]


@pytest.fixture
async def ledger_database(mongo: SharedMongo, fresh_database: FreshDatabases) -> AsyncIterator[Database]:
    """A database of the test's own with the ledger's indexes."""
    client = shared_mongo.connect(mongo.url, name="test")
    database = shared_mongo.database(client, fresh_database("notifier"))
    await indexes.ensure(database)
    yield database
    await client.close()


@pytest.fixture
async def make_office(ledger_database: Database, smtp: SmtpServer) -> AsyncIterator[MakeOffice]:
    """Makes offices on one database and one SMTP server: `make_office(delay_s=5)`. Their senders start when the test starts them."""
    made: list[Office] = []

    def make(**rules: object) -> Office:
        made.append(Office(ledger_database, smtp, Rules(**rules)))  # type: ignore[arg-type]  # named by the tests
        return made[-1]

    yield make
    for office in made:
        await office.sender.stop(grace_s=5)
