"""Tokens: checks the shop's JWTs, and mints and checks Parley's own small ones (guest links, guest sessions, unsubscribing).

The rules are RFC 8725's: an allow-list of algorithms for each key, issuer, audience and expiry required, an explicit `typ` for
each of our own kinds, so that one kind can never stand in for another.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

import jwt
import structlog
from pydantic import Field, ValidationError

from shared.callers import SHOP_SELLER_ID, Caller
from shared.errors import ProblemError, refuse
from shared.fields import Grown, Locale, OrderId, SendableAddress
from shared.visible import shows

log = structlog.get_logger(__name__)

ASYMMETRIC_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
OWN_ISSUER = "parley"
GUEST_LINK_LIFE_S = 30 * 24 * 3600
GUEST_SESSION_LIFE_S = 3600
CLOCK_LEEWAY_S = 30
MAX_TOKEN_CHARACTERS = 8_192
# The end of the year 9999: what computes with a later expiry could overflow.
LAST_SECOND = 253_402_300_799
KEEP_CHECKED_S = 60.0
MAX_KEPT = 10_000

OwnKind = Literal["parley-guest-link+jwt", "parley-guest-session+jwt", "parley-unsubscribe+jwt"]


class SignedIn(Grown):
    """A checked token: who it is, until when (seconds since 1970), and what it says beyond identity."""

    caller: Caller
    expires_at: Annotated[int, Field(le=LAST_SECOND)]
    email: SendableAddress | None = None
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
    """The shop's published keys (RFC 7517), kept for a while and fetched anew when a token names a key that is not among them.

    However many tokens name unknown keys, there is one fetch at a time and one every ten seconds; a known key never waits for one that
    another caller has begun. Where the shop cannot be asked, or answers what is no set of keys, the known ones stay good for a day; a set
    without keys withdraws them all.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        *,
        keep_s: float = 300,
        at_most_every_s: float = 10,
        none_yet_every_s: float = 1,
        good_unconfirmed_s: float = 24 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._clock = fetch, clock
        self._keep_s, self._at_most_every_s, self._none_yet_every_s = keep_s, at_most_every_s, none_yet_every_s
        self._good_unconfirmed_s = good_unconfirmed_s
        self._keys: dict[str, jwt.PyJWK] | None = None
        self._tried_at = self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, header: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """Raises ProblemError (503) while no keys could be fetched."""
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise jwt.InvalidTokenError("the token's header names no key (kid)")
        if not self._is_fresh(kid) and not (self._knows(kid) and self._fetching.locked()):
            async with self._fetching:
                if not self._is_fresh(kid):
                    await self._refresh()
        if self._keys is None:
            raise refuse("unavailable", "The shop's token keys cannot be fetched; try again soon.")
        if kid not in self._keys:
            raise jwt.InvalidTokenError("the token's key is not among the shop's keys")
        key = self._keys[kid]
        return key.key, (key.algorithm_name,)

    def _knows(self, kid: str) -> bool:
        return self._keys is not None and kid in self._keys

    def _is_fresh(self, kid: str) -> bool:
        """Whether what is known about this key may be taken at its word without asking the shop."""
        if self._knows(kid):
            good_for_s = self._keep_s
        else:
            good_for_s = self._none_yet_every_s if self._keys is None else self._at_most_every_s
        return self._clock() - self._tried_at <= good_for_s

    async def _refresh(self) -> None:
        """Takes the shop's keys anew; where there are none to be had, the known ones stay good for their time."""
        try:
            self._keys = _usable(await self._fetch())
            self._fetched_at = self._clock()
        except (OSError, TimeoutError, ValueError, TypeError, jwt.PyJWTError) as error:
            log.warning("jwks_not_fetched", error=type(error).__name__)
            if self._clock() - self._fetched_at > self._good_unconfirmed_s:
                self._keys = None
        finally:
            self._tried_at = self._clock()


def _usable(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """The keys that may sign, by number; none where the set is empty. Raises jwt.PyJWTError, TypeError or ValueError for what is no set."""
    if document.get("keys") == []:
        return {}
    found = jwt.PyJWKSet.from_dict(document).keys
    usable = {key.key_id: key for key in found if key.key_id is not None and _may_sign(key)}
    if not usable:
        raise ValueError("none of the keys can be used")
    return usable


def _may_sign(key: jwt.PyJWK) -> bool:
    """A public key, published for signatures; shared secrets have no place in a published document."""
    return key.algorithm_name in ASYMMETRIC_ALGORITHMS and key.public_key_use in (None, "sig")


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
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
            return _signed_in(claims)
        except (jwt.PyJWTError, ValidationError, ValueError) as error:
            raise unauthenticated(error) from None

    def _guest(self, token: str) -> SignedIn:
        claims = read_own(token, "parley-guest-session+jwt", secret=self._link_secret)
        try:
            caller = Caller(role="guest", id=claims["sub"], name=claims["name"], order_id=claims["order_id"])
        except KeyError as missing:
            raise jwt.MissingRequiredClaimError(str(missing.args[0])) from None
        return SignedIn(caller=caller, expires_at=int(claims["exp"]))


class CheckedTokens:
    """Checks tokens, and for a minute (never beyond its expiry) takes a token that it has checked at its word.

    Only a token's hash is kept. What `JwksKeys` would refuse by now is refused a minute later at most.
    """

    def __init__(self, tokens: Tokens, *, clock: Callable[[], float] = time.time) -> None:
        self._tokens, self._clock = tokens, clock
        self._kept: OrderedDict[bytes, tuple[float, SignedIn]] = OrderedDict()

    async def check(self, token: str) -> SignedIn:
        """Who holds this token. Raises ProblemError: 401, or 503 where the shop's keys cannot be fetched."""
        digest = hashlib.sha256(token.encode()).digest()
        now = self._clock()
        good_until, known = self._kept.get(digest, (0.0, None))
        if known is not None and now < good_until:
            return known
        signed_in = await self._tokens.check(token)
        # Sessions of guests are ours, so nobody's clock can differ.
        leeway_s = 0 if signed_in.caller.role == "guest" else CLOCK_LEEWAY_S
        self._kept[digest] = (min(now + KEEP_CHECKED_S, signed_in.expires_at + leeway_s), signed_in)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return signed_in


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
    if claims.get("seller_id") == SHOP_SELLER_ID:
        raise jwt.InvalidTokenError(
            "the claim seller_id names the shop itself, whose staff sign in with the role admin"
        )
    caller = Caller(
        role=role,
        id=claims["sub"],
        name=_name_to_be_seen(claims) or claims["sub"],
        seller_id=claims.get("seller_id") if role == "seller" else None,
    )
    return SignedIn(
        caller=caller, expires_at=int(claims["exp"]), email=claims.get("email"), locale=claims.get("locale")
    )


def _name_to_be_seen(claims: dict[str, Any]) -> Any:
    """None where the claim is missing, or is a text of which nothing can be seen."""
    name = claims.get("name")
    return None if isinstance(name, str) and not shows(name) else name


def mint_guest_link(order_id: OrderId, customer_id: str, name: str, *, secret: str, now: float) -> str:
    """A token that can be exchanged for sessions on one thread, until it expires; it opens nothing by itself."""
    claims = {"sub": customer_id, "name": name, "order_id": order_id}
    return _mint_own("parley-guest-link+jwt", claims, life_s=GUEST_LINK_LIFE_S, secret=secret, now=now)


def mint_guest_session(link: dict[str, Any], *, secret: str, now: float) -> str:
    """A bearer token of an hour for the thread of a guest link's claims."""
    claims = {"sub": link["sub"], "name": link["name"], "order_id": link["order_id"]}
    return _mint_own("parley-guest-session+jwt", claims, life_s=GUEST_SESSION_LIFE_S, secret=secret, now=now)


def mint_unsubscribe(person: str, *, secret: str, now: float, address_key: str | None = None) -> str:
    """A token that switches this person's mails off and can do nothing else. It stands in a URL, as RFC 8058 has it; it lasts a year.

    `address_key` stands for the address that the mail goes to, where choices are kept by address too.
    """
    claims = {"sub": person} if address_key is None else {"sub": person, "address_key": address_key}
    return _mint_own("parley-unsubscribe+jwt", claims, life_s=366 * 24 * 3600, secret=secret, now=now)


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
