"""Fixtures for tests of the whole: three services, real servers, and clients that know only the public API."""

from collections.abc import AsyncIterator

import pytest

from tests.e2e.client import Clients, clients_of
from tests.servers.parley import Parley


@pytest.fixture
async def clients(running_parley: Parley) -> AsyncIterator[Clients]:
    """Clients of a Parley whose three services are ready."""
    async with clients_of(running_parley) as clients:
        yield clients
