"""Fixtures for tests of threads alone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from services.threads import indexes
from tests.integration.worker.wire import Wire, connected
from tests.servers.parley import Parley


@pytest.fixture
async def wire(parley: Parley) -> AsyncIterator[Wire]:
    """A gateway's and a shop's ends of RabbitMQ, in the virtual host of the test."""
    async with connected(parley.vhost) as wire:
        yield wire


@pytest.fixture
async def store(database: AsyncDatabase[dict[str, Any]]) -> AsyncDatabase[dict[str, Any]]:
    """A database of the test's own, with the indexes of threads."""
    await indexes.ensure(database)
    return database
