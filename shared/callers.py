"""Who is asking: the person behind a token, as commands carry it and as access is decided on it."""

from typing import Final, Literal

from shared.fields import Grown, Name, OrderId, PersonId, Side, SoldBy

Role = Literal["customer", "seller", "admin", "service", "guest"]

# The seller of an order that the shop sells itself. No token and no snapshot may name it.
SHOP_SELLER_ID: Final = "~shop"

ROLES_WITH_SIDE: dict[Role, Side] = {"customer": "customer", "guest": "customer", "seller": "seller", "admin": "shop"}


# Whose read marks a side sees, by who sells. Customer and seller see each other's; the shop's staff see both, and beside a seller of a
# marketplace nobody sees theirs.
MARKS_SEEN: dict[SoldBy, dict[Side, tuple[Side, ...]]] = {
    "seller": {"customer": ("seller",), "seller": ("customer",), "shop": ("customer", "seller")},
    "shop": {"customer": ("shop",), "seller": (), "shop": ("customer",)},
}


class Caller(Grown):
    """A person or service, from a checked token. Carries no e-mail address: mails go to the order's addresses."""

    role: Role
    id: PersonId
    name: Name
    seller_id: PersonId | None = None
    order_id: OrderId | None = None

    @property
    def key(self) -> str:
        """This person everywhere: whose command it is, and whose preferences."""
        return f"guest:{self.order_id}" if self.role == "guest" else f"{self.role}:{self.id}"

    @property
    def mailbox(self) -> str:
        """Whose mails the caller's preferences are about: all logins of a seller share the seller's address."""
        return f"seller:{self.seller_id}" if self.role == "seller" else self.key

    @property
    def side(self) -> Side | None:
        """The side that this caller writes for; a service writes for none."""
        return ROLES_WITH_SIDE.get(self.role)

    @property
    def person(self) -> str:
        """This person within one thread. An order has one customer, who may begin as a guest: both are the same person."""
        return "customer" if self.side == "customer" else self.key


class Author(Grown):
    """Who wrote an entry: the side, the person within the thread, and the name as it was when it was written."""

    side: Side
    person: str
    name: Name


def author(caller: Caller) -> Author:
    """The caller as an entry's author. Only callers with a side write entries."""
    side = caller.side
    if side is None:
        raise ValueError(f"a {caller.role} writes no entries")
    return Author(side=side, person=caller.person, name=caller.name)
