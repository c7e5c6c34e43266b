"""Mints bearer tokens for the local stack, as a shop's own login would: `make token ROLE=customer ID=c-7`."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import jwt

from deploy.local.credentials import Credentials
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings
from shared.tokens import mint_guest_session

ISSUER = "parley-demo"
AUDIENCE = "parley"
LIFE_S = 12 * 3600
ROLES = ("customer", "seller", "admin", "service", "guest")
USAGE = "make token ROLE=customer|seller|admin|service ID=… [NAME=…] [SELLER=…], or ROLE=guest ORDER=…"


class TokenMint:
    """Makes the demo shop's tokens (HS256 with the stack's secret, which only demo mode accepts)."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def mint(
        self, role: str, person: str, *, name: str | None = None, seller_id: str | None = None, email: str | None = None
    ) -> str:
        """A token for this person, good for twelve hours. A seller's `seller_id` is the person's id where none is given.

        `email` is where mails about threads go that an administrator watches.
        """
        now = int(time.time())
        claims: dict[str, str | int] = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFE_S}
        claims |= {"sub": person, "role": role, "name": name or person}
        if role == "seller":
            claims["seller_id"] = seller_id or person
        if email is not None:
            claims["email"] = email
        return jwt.encode(claims, self._credentials.token_secret, algorithm="HS256")

    def mint_guest(self, order_id: str, *, person: str = "guest", name: str = "Guest") -> str:
        """A guest's session on one order, good for an hour, as a link in a mail is exchanged for one."""
        link = {"sub": person, "name": name, "order_id": order_id}
        return mint_guest_session(link, secret=self._credentials.link_secret, now=time.time())


def asked_token(environment: Mapping[str, str], secrets_directory: Path) -> str:
    """The token that ROLE, ID, NAME, SELLER and ORDER describe. Raises StackError where they do not."""
    role, person, order_id = (environment.get(name) or None for name in ("ROLE", "ID", "ORDER"))
    if role not in ROLES:
        raise StackError(f"ROLE must be one of {', '.join(ROLES)}: {USAGE}")
    if not (secrets_directory / "token_demo_secret").exists():
        raise StackError(f"there is no stack in {secrets_directory.parent} yet; start one with  make run")
    mint = TokenMint(Credentials.load_or_make(secrets_directory))
    name = environment.get("NAME") or None
    if role == "guest":
        if order_id is None:
            raise StackError(f"a guest's token needs ORDER: {USAGE}")
        return mint.mint_guest(order_id, person=person or "guest", name=name or "Guest")
    if person is None:
        raise StackError(f"ID is missing: {USAGE}")
    return mint.mint(role, person, name=name, seller_id=environment.get("SELLER") or None)


def main() -> int:
    try:
        settings = LocalSettings.read(os.environ)
        print(asked_token(os.environ, settings.run_directory / "secrets"))
    except StackError as error:
        print(f"token: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
