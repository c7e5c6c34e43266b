"""Everybody who may ask something of an order, with the tokens that a shop would give them."""

import time
from dataclasses import dataclass
from typing import Any, Final

import jwt

from deploy.local.tokens import AUDIENCE, ISSUER
from shared.orders import Customer, OrderSnapshot, Seller
from shared.tokens import mint_guest_link, mint_guest_session, mint_unsubscribe
from tests.made import snapshot
from tests.servers.parley import CREDENTIALS

HOUR_S: Final = 3_600
GUEST_ID: Final = "g-1"


@dataclass(frozen=True)
class People:
    """Tokens of people, by who they are; all are signed as the demo shop signs."""

    def token(self, role: str, person: str, **claims: Any) -> str:
        """A token of this role; a claim that is given as None is left out."""
        return sign({"role": role, "sub": person, **claims})

    def customer(self, person: str = "c-7", **claims: Any) -> str:
        return self.token("customer", person, name="Ada", **claims)

    def seller(self, seller_id: str = "s-1", *, login: str = "login-1", **claims: Any) -> str:
        return self.token("seller", login, name="Bob", seller_id=seller_id, **claims)

    def admin(self, person: str = "a-1", **claims: Any) -> str:
        return self.token("admin", person, **{"name": "Staff", "email": f"{person}@shop.example", **claims})

    def service(self, **claims: Any) -> str:
        return self.token("service", "erp", **claims)

    def expired(self) -> str:
        return self.customer(iat=int(time.time()) - 2 * HOUR_S, exp=int(time.time()) - HOUR_S)

    def guest(self, order_id: str, person: str = GUEST_ID) -> str:
        """A session of an hour on one order."""
        return mint_guest_session(_link(order_id, person), secret=CREDENTIALS.link_secret, now=time.time())

    def guest_link(self, order_id: str, person: str = GUEST_ID, *, now: float | None = None) -> str:
        moment = time.time() if now is None else now
        return mint_guest_link(order_id, person, "Guest", secret=CREDENTIALS.link_secret, now=moment)

    def unsubscribe(self, person: str) -> str:
        return mint_unsubscribe(person, secret=CREDENTIALS.link_secret, now=time.time())


def sign(
    claims: dict[str, Any],
    *,
    secret: str = CREDENTIALS.token_secret,
    algorithm: str = "HS256",
    headers: dict[str, Any] | None = None,
) -> str:
    """A token of the demo shop with these claims, some of them instead of the usual; None leaves one out."""
    now = int(time.time())
    usual = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + HOUR_S}
    whole = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jwt.encode(whole, secret, algorithm=algorithm, headers=headers)


def order_of_guest(order_id: str, **changes: Any) -> OrderSnapshot:
    customer = Customer(id=GUEST_ID, name="Guest", email="guest@example.com", guest=True)
    return snapshot(order_id, customer=customer, **changes)


def order_of(order_id: str, *, customer: str = "c-7", seller: str = "s-1", **changes: Any) -> OrderSnapshot:
    """An order between these two; each has an address of their own."""
    return snapshot(
        order_id,
        customer=Customer(id=customer, name="Ada", email=f"{customer}@example.com"),
        seller=Seller(id=seller, name="Fine Things", email=f"{seller}@example.com"),
        **changes,
    )


def _link(order_id: str, person: str) -> dict[str, Any]:
    return {"sub": person, "name": "Guest", "order_id": order_id}
