"""One running Parley for the whole package: bad input changes nothing, so nobody is in anybody's way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.api.bad_input.places import ORDER, PATIENT
from tests.api.people import People, order_of, order_of_guest
from tests.e2e.client import Client, Clients, clients_of
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley, own_parley
from tests.servers.rabbitmq import SharedRabbit


@pytest.fixture(scope="package")
async def shop(
    rabbitmq_server: SharedRabbit, mongo_server: SharedMongo, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Parley]:
    """The package's Parley, its three services ready."""
    with own_parley(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("parley")) as parley:
        parley.start()
        await parley.ready()
        yield parley


@pytest.fixture(scope="package")
def people(shop: Parley) -> People:
    """Everybody who may come along, with their tokens."""
    return People()


@pytest.fixture(scope="package")
async def api(shop: Parley, people: People) -> AsyncIterator[Clients]:
    """The package's clients, with two orders of one customer and seller, one of other people, and one of a guest."""
    orders = [order_of(ORDER), order_of("1043"), order_of("2000", customer="c-8", seller="s-2")]
    async with clients_of(shop) as clients:
        await asyncio.gather(*(clients.put_order(order) for order in [*orders, order_of_guest("3000")]))
        customer = clients.with_token(people.customer())
        for order_id in (ORDER, "1043"):
            assert (await customer.post("The first", order_id=order_id, **PATIENT)).status == 201
        yield clients


@pytest.fixture
def customer(api: Clients, people: People) -> Client:
    return api.with_token(people.customer())
