"""Who takes part: orders, each with a customer of its own, a few sellers with several logins, and the shop, which sells a sixth of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from deploy.local.services import SHOP_ADDRESS
from shared.contracts.contacts import SHOP_MAILBOX
from shared.fields import Side
from shared.orders import Customer, OrderSnapshot, Seller
from tests.chaos.load import Person
from tests.e2e.client import Client
from tests.made import snapshot
from tests.servers.parley import Parley

ORDERS: Final = 36
SELLERS: Final = 6
LOGINS: Final = 36
PEOPLE: Final = ORDERS + LOGINS
# The number among the sellers that stands for the shop itself.
THE_SHOP: Final = 0


@dataclass(frozen=True)
class Party:
    """One of the two sides of an order: which, whose mails theirs are, and where they go."""

    side: Side
    mailbox: str
    address: str


def number_of(order_id: str) -> int:
    return int(order_id.removeprefix("o-"))


def customer_of(order_id: str) -> str:
    return f"c-{number_of(order_id)}"


def seller_of(order_id: str) -> int:
    return number_of(order_id) % SELLERS


def answerer_of(order_id: str) -> Party:
    seller = seller_of(order_id)
    if seller == THE_SHOP:
        return Party("shop", SHOP_MAILBOX, SHOP_ADDRESS)
    return Party("seller", f"seller:s-{seller}", address(f"s-{seller}"))


def address(person: str) -> str:
    return f"{person}@example.com"


def orders() -> list[OrderSnapshot]:
    return [_order(f"o-{number}") for number in range(ORDERS)]


def recipients() -> list[str]:
    every = [order.order_id for order in orders()]
    customers = {address(customer_of(order_id)) for order_id in every}
    return sorted(customers | {answerer_of(order_id).address for order_id in every})


def _order(order_id: str) -> OrderSnapshot:
    customer, seller = customer_of(order_id), seller_of(order_id)
    return snapshot(
        order_id,
        customer=Customer(id=customer, name=f"Customer {customer}", email=address(customer)),
        seller=None if seller == THE_SHOP else Seller(id=f"s-{seller}", name="Seller", email=address(f"s-{seller}")),
    )


def everybody(parley: Parley, session: aiohttp.ClientSession, gateways: Sequence[str]) -> list[Person]:
    """Each signed in at every gateway."""

    def at_all(token: str) -> list[Client]:
        return [Client(session, url, token) for url in gateways]

    every = [order.order_id for order in orders()]
    people = [
        Person(f"customer-{number_of(order)}", "customer", at_all(parley.customer(customer_of(order))), [order])
        for order in every
    ]
    for login in range(LOGINS):
        seller, name = login % SELLERS, f"login-{login}"
        mine = [order for order in every if seller_of(order) == seller]
        side = answerer_of(mine[0]).side
        token = parley.admin(name) if side == "shop" else parley.seller(f"s-{seller}", login=name)
        people.append(Person(f"{side}-{login}", side, at_all(token), mine))
    return people
