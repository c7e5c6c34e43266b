"""Fixtures for tests of threads alone."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.worker.wire import Wire, connected
from tests.servers.parley import Parley


@pytest.fixture
async def wire(parley: Parley) -> AsyncIterator[Wire]:
    """A gateway's and a shop's ends of RabbitMQ, in the virtual host of the test."""
    async with connected(parley.vhost) as wire:
        yield wire
