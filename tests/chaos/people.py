"""Who takes part: orders, each with a customer of its own, and a few sellers with several logins."""

from collections.abc import Sequence
from typing import Final

import aiohttp

from shared.orders import Customer, OrderSnapshot, Seller
from tests.chaos.load import Person
from tests.e2e.client import Client
from tests.made import snapshot
from tests.servers.parley import Parley

ORDERS: Final = 36
SELLERS: Final = 6
LOGINS: Final = 36
PEOPLE: Final = ORDERS + LOGINS


def number_of(order_id: str) -> int:
    return int(order_id.removeprefix("o-"))


def customer_of(order_id: str) -> str:
    return f"c-{number_of(order_id)}"


def seller_of(order_id: str) -> str:
    return f"s-{number_of(order_id) % SELLERS}"


def address(person: str) -> str:
    return f"{person}@example.com"


def orders() -> list[OrderSnapshot]:
    return [_order(f"o-{number}") for number in range(ORDERS)]


def recipients() -> list[str]:
    customers = {customer_of(order.order_id) for order in orders()}
    return [address(person) for person in sorted(customers | {f"s-{number}" for number in range(SELLERS)})]


def _order(order_id: str) -> OrderSnapshot:
    customer, seller = customer_of(order_id), seller_of(order_id)
    return snapshot(
        order_id,
        customer=Customer(id=customer, name=f"Customer {customer}", email=address(customer)),
        seller=Seller(id=seller, name="Seller", email=address(seller)),
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
        seller = f"s-{login % SELLERS}"
        mine = [order for order in every if seller_of(order) == seller]
        people.append(Person(f"seller-{login}", "seller", at_all(parley.seller(seller, login=f"login-{login}")), mine))
    return people
