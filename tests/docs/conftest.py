"""A running Parley with the demo shop's orders, as somebody who follows the documentation has it."""

import pytest

from deploy.local.shop import demo_orders, publish_orders
from tests.e2e.client import clients_of
from tests.servers.parley import Parley
from tests.servers.waiting import eventually


@pytest.fixture
async def demo_parley(running_parley: Parley) -> Parley:
    """All three services are ready, and every demo order is there."""
    orders = demo_orders()
    await publish_orders(running_parley.vhost.url("shop"), orders)
    async with clients_of(running_parley) as clients:
        admin = clients.admin()

        async def all_there() -> bool:
            return len((await admin.get("/v1/orders?limit=100")).body["items"]) == len(orders)

        await eventually(all_there, what="the demo orders being there")
    return running_parley
