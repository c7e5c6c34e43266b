"""Tokens: checks the shop's JWTs, and mints and checks Parley's own small ones (guest links, guest sessions, unsubscribing).

The rules are RFC 8725's: an allow-list of algorithms for each key, issuer, audience and expiry required, an explicit `typ` for
each of our own kinds, so that one kind can never stand in for another.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol

import jwt
from pydantic import ValidationError

from shared.callers import Caller
from shared.errors import ProblemError, refuse
from shared.fields import EmailAddress, Grown, Locale, OrderId

ASYMMETRIC_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
OWN_ISSUER = "parley"
GUEST_LINK_LIFE_S = 30 * 24 * 3600
GUEST_SESSION_LIFE_S = 3600
CLOCK_LEEWAY_S = 30
MAX_TOKEN_CHARACTERS = 8_192

OwnKind = Literal["parley-guest-link+jwt", "parley-guest-session+jwt", "parley-unsubscribe+jwt"]


class SignedIn(Grown):
    """A checked token: who it is, until when (seconds since 1970), and what it says beyond identity."""

    caller: Caller
    expires_at: int
    email: EmailAddress | None = None
    locale: Locale | None = None


class Keys(Protocol):
    """Finds the key that signed a token."""

    async def find(self, header: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """The key and the algorithms allowed with it. Raises jwt.InvalidTokenError where there is none."""
        ...


class DemoKeys:
    """One shared secret, for demo mode alone: whoever holds it can be anybody."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, header: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        return self._secret, ("HS256",)


class JwksKeys:
    """The shop's published keys (RFC 7517), kept for a while and fetched anew when a token names a key that is not among them."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        *,
        keep_s: float = 300,
        at_most_every_s: float = 10,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._keep_s, self._at_most_every_s, self._clock = fetch, keep_s, at_most_every_s, clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")

    async def find(self, header: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("the token's header names no key (kid)")
        age_s = self._clock() - self._fetched_at
        if age_s > self._keep_s or (kid not in self._keys and age_s > self._at_most_every_s):
            await self._refresh()
        if kid not in self._keys:
            raise jwt.InvalidTokenError("the token's key is not among the shop's keys")
        key = self._keys[kid]
        return key.key, (key.algorithm_name,)

    async def _refresh(self) -> None:
        """Takes the shop's keys anew; where that fails, the known keys stay good and the next token tries again later."""
        self._fetched_at = self._clock()
        try:
            document = await self._fetch()
        except (OSError, TimeoutError, ValueError) as error:
            if not self._keys:
                self._fetched_at = float("-inf")
                raise refuse("unavailable", "The shop's token keys cannot be fetched; try again soon.") from error
            return
        found = jwt.PyJWKSet.from_dict(document).keys
        self._keys = {
            key.key_id: key for key in found if key.key_id is not None and key.algorithm_name in ASYMMETRIC_ALGORITHMS
        }


class Tokens:
    """Checks callers' tokens: the shop's, and sessions of guests."""

    def __init__(self, *, issuer: str, audience: str, keys: Keys, link_secret: str) -> None:
        self._issuer, self._audience, self._keys, self._link_secret = issuer, audience, keys, link_secret

    async def check(self, token: str) -> SignedIn:
        """Who holds this token. Raises ProblemError (401) and says which rule it breaks, never what is in it."""
        try:
            if len(token) > MAX_TOKEN_CHARACTERS:
                raise jwt.InvalidTokenError(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
            header = jwt.get_unverified_header(token)
            if header.get("typ") == "parley-guest-session+jwt":
                return self._guest(token)
            if str(header.get("typ", "JWT")).lower() not in ("jwt", "at+jwt", "application/at+jwt"):
                raise jwt.InvalidTokenError("the token is of another kind")
            key, algorithms = await self._keys.find(header)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                issuer=self._issuer,
                audience=self._audience,
                leeway=CLOCK_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            return _signed_in(claims)
        except (jwt.PyJWTError, ValidationError, ValueError) as error:
            raise unauthenticated(error) from None

    def _guest(self, token: str) -> SignedIn:
        claims = read_own(token, "parley-guest-session+jwt", secret=self._link_secret)
        caller = Caller(role="guest", id=claims["sub"], name=claims["name"], order_id=claims["order_id"])
        return SignedIn(caller=caller, expires_at=int(claims["exp"]))


def unauthenticated(error: Exception) -> ProblemError:
    reason = "its claims are not as they must be" if isinstance(error, ValidationError) else str(error)
    return refuse("unauthenticated", f"The bearer token is not accepted: {reason}.")


def _signed_in(claims: dict[str, Any]) -> SignedIn:
    """The caller in a shop token's claims; a seller must name its `seller_id`; `guest` is no role for the shop to give."""
    role = claims.get("role")
    if role not in ("customer", "seller", "admin", "service"):
        raise jwt.InvalidTokenError("the claim role must be customer, seller, admin or service")
    if role == "seller" and not claims.get("seller_id"):
        raise jwt.InvalidTokenError("a seller's token must have the claim seller_id")
    caller = Caller(
        role=role,
        id=claims["sub"],
        name=claims.get("name") or claims["sub"],
        seller_id=claims.get("seller_id") if role == "seller" else None,
    )
    return SignedIn(
        caller=caller, expires_at=int(claims["exp"]), email=claims.get("email"), locale=claims.get("locale")
    )


def mint_guest_link(order_id: OrderId, customer_id: str, name: str, *, secret: str, now: float) -> str:
    """A token that can be exchanged for sessions on one thread, until it expires; it opens nothing by itself."""
    claims = {"sub": customer_id, "name": name, "order_id": order_id}
    return _mint_own("parley-guest-link+jwt", claims, life_s=GUEST_LINK_LIFE_S, secret=secret, now=now)


def mint_guest_session(link: dict[str, Any], *, secret: str, now: float) -> str:
    """A bearer token of an hour for the thread of a guest link's claims."""
    claims = {"sub": link["sub"], "name": link["name"], "order_id": link["order_id"]}
    return _mint_own("parley-guest-session+jwt", claims, life_s=GUEST_SESSION_LIFE_S, secret=secret, now=now)


def mint_unsubscribe(person: str, *, secret: str, now: float) -> str:
    """A token that switches this person's mails off and can do nothing else. It stands in a URL, as RFC 8058 has it; it lasts a year."""
    return _mint_own("parley-unsubscribe+jwt", {"sub": person}, life_s=366 * 24 * 3600, secret=secret, now=now)


def read_own(token: str, kind: OwnKind, *, secret: str) -> dict[str, Any]:
    """The claims of one of our own tokens. Raises jwt.InvalidTokenError for any other, also for another kind of ours."""
    header = jwt.get_unverified_header(token)
    if header.get("typ") != kind:
        raise jwt.InvalidTokenError("the token is of another kind")
    options: Any = {"require": ["exp", "iss", "aud", "sub"]}
    claims: dict[str, Any] = jwt.decode(
        token, secret, algorithms=["HS256"], issuer=OWN_ISSUER, audience=kind, options=options
    )
    return claims


def _mint_own(kind: OwnKind, claims: dict[str, Any], *, life_s: int, secret: str, now: float) -> str:
    whole = {**claims, "iss": OWN_ISSUER, "aud": kind, "iat": int(now), "exp": int(now) + life_s}
    return jwt.encode(whole, secret, algorithm="HS256", headers={"typ": kind})
