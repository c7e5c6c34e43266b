"""Who uses the stack: many customers and sellers, each with their token, and the orders that they talk about."""

import random
from dataclasses import dataclass, field
from typing import Final

from bench.stack import made_orders, place
from deploy.local.demo_target import DemoTarget
from deploy.local.shop import ShopOrder

CUSTOMERS: Final = 400
SELLERS: Final = 40
LOGINS_OF_A_SELLER: Final = 5
ORDERS: Final = 800


@dataclass(frozen=True, slots=True)
class Person:
    token: str
    orders: tuple[str, ...]


@dataclass
class Shop:
    """Everybody, and the newest entry that was seen of each thread (for read marks)."""

    people: list[Person]
    newest: dict[str, int] = field(default_factory=dict)

    def someone(self, chance: random.Random) -> tuple[Person, str]:
        """A person, and one of their orders."""
        person = chance.choice(self.people)
        return person, chance.choice(person.orders)

    def saw(self, order_id: str, seq: int) -> None:
        self.newest[order_id] = max(seq, self.newest.get(order_id, 0))


async def open_shop(target: DemoTarget) -> Shop:
    """Places the orders (again, where they are there from an earlier run), and mints everybody's token."""
    orders = made_orders(ORDERS, customers=CUSTOMERS, sellers=SELLERS, prefix="load")
    await place(target.amqp_url, target.gateway_url, target.mint.mint("admin", "load"), orders)
    return Shop(people=[*_customers(target, orders), *_sellers(target, orders)])


def _customers(target: DemoTarget, orders: list[ShopOrder]) -> list[Person]:
    theirs: dict[str, list[str]] = {}
    for order in orders:
        theirs.setdefault(order.customer.id, []).append(order.order_id)
    return [Person(target.mint.mint("customer", person), tuple(found)) for person, found in theirs.items()]


def _sellers(target: DemoTarget, orders: list[ShopOrder]) -> list[Person]:
    theirs: dict[str, list[str]] = {}
    for order in orders:
        if order.seller is not None:
            theirs.setdefault(order.seller.id, []).append(order.order_id)
    return [
        Person(target.mint.mint("seller", f"{seller}-{login}", seller_id=seller), tuple(found))
        for seller, found in theirs.items()
        for login in range(LOGINS_OF_A_SELLER)
    ]
