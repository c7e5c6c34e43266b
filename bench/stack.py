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
from shared.orders import Customer, OrderSnapshot, Seller
from tests.made import snapshot
from tests.servers.mongodb import FreshDatabases
from tests.servers.parley import Parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import make_vhost
from tests.servers.smtp import SmtpServer

START_LIMIT_S: Final = 60.0
VISIBLE_LIMIT_S: Final = 60.0
LOOK_EVERY_S: Final = 0.1
PREFIX: Final = "bench"


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


def made_orders(count: int, *, customers: int, sellers: int, prefix: str = PREFIX) -> list[ShopOrder]:
    """Orders of so many customers and sellers, each in turn."""
    made = [
        made_snapshot(number, customer=number % customers, seller=number % sellers, prefix=prefix)
        for number in range(count)
    ]
    return [ShopOrder.read(each.model_dump(mode="json")) for each in made]


def made_snapshot(number: int, *, customer: int, seller: int, prefix: str = PREFIX) -> OrderSnapshot:
    buyer = customer_id(customer, prefix=prefix)
    return snapshot(
        order_id(number, prefix=prefix),
        customer=Customer(id=buyer, name="Ada Byron", email=f"{buyer}@mail.example"),
        seller=Seller(id=seller_id(seller, prefix=prefix), name="Fine Things", email=f"s-{seller}@shop.example"),
    )


def order_id(number: int, *, prefix: str = PREFIX) -> str:
    return f"{prefix}-{number}"


def customer_id(number: int, *, prefix: str = PREFIX) -> str:
    return f"{prefix}-c-{number}"


def seller_id(number: int, *, prefix: str = PREFIX) -> str:
    return f"{prefix}-s-{number}"


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
