"""A Parley of a bench's own: private RabbitMQ and MongoDB, the three services, and orders to talk about."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from deploy.local.services import SERVICES
from deploy.local.shop import ShopOrder, publish_orders
from shared.orders import Customer, Seller
from tests.made import snapshot
from tests.servers.mongodb import FreshDatabases
from tests.servers.parley import Parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import make_vhost
from tests.servers.smtp import SmtpServer

START_LIMIT_S: Final = 60.0
VISIBLE_LIMIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1


@asynccontextmanager
async def running_parley(**settings: Mapping[str, str]) -> AsyncIterator[Parley]:
    """One of each service, ready, at the usual log level; `settings` by service: `notifier={"MAIL_DELAY": "2"}`.

    Mails go to `parley.smtp`, which is a thread of this process, unless the notifier's settings name another port.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        directory, smtp = Path(scratch), SmtpServer()
        smtp.start()
        with shared_rabbit(directory) as rabbit, shared_mongo(directory) as mongo:
            parley = Parley(
                vhost=make_vhost(rabbit), mongo=mongo, databases=FreshDatabases(mongo), smtp=smtp, directory=directory
            )
            try:
                for service in SERVICES:
                    parley.add(service, **{"LOG_LEVEL": "info", **settings.get(service, {})}).start()
                await parley.ready(timeout_s=START_LIMIT_S)
                yield parley
            finally:
                parley.kill()
                smtp.close()


def made_orders(count: int, *, customers: int, sellers: int, prefix: str = "bench") -> list[ShopOrder]:
    """Orders of so many customers and sellers, each in turn."""
    made = [
        snapshot(
            f"{prefix}-{number}",
            customer=_customer(f"{prefix}-c-{number % customers}"),
            seller=Seller(
                id=f"{prefix}-s-{number % sellers}", name="Fine Things", email=f"s-{number % sellers}@shop.example"
            ),
        )
        for number in range(count)
    ]
    return [ShopOrder.read(each.model_dump(mode="json")) for each in made]


def _customer(person: str) -> Customer:
    return Customer(id=person, name="Ada Byron", email=f"{person}@mail.example")


async def place(amqp_url: str, gateway_url: str, admin_token: str, orders: Sequence[ShopOrder]) -> None:
    """Publishes the orders as the shop does, and returns when every one can be read. Raises TimeoutError."""
    await publish_orders(amqp_url, orders)
    deadline = time.monotonic() + VISIBLE_LIMIT_S
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {admin_token}"}) as http:
        for order in orders:
            while not await _is_there(http, f"{gateway_url}/v1/orders/{order.order_id}"):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"order {order.order_id} is not there after {VISIBLE_LIMIT_S:g} s")
                await asyncio.sleep(LOOK_EVERY_S)


async def _is_there(http: aiohttp.ClientSession, url: str) -> bool:
    async with http.get(url) as answer:
        return answer.status == 200
