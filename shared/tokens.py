"""Tokens: checks the shop's JWTs, and mints and checks Parley's own small ones (guest links, guest sessions, unsubscribing).

The rules are RFC 8725's: an allow-list of algorithms for each key, issuer, audience and expiry required, an explicit `typ` for
each of our own kinds, so that one kind can never stand in for another.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import jwt
import structlog
from pydantic import Field, ValidationError

from shared.callers import Caller
from shared.claims import ClaimRules, read_claims, texts_at
from shared.errors import ProblemError, refuse
from shared.fields import Grown, Locale, OrderId, SendableAddress
from shared.key_sets import Keys

log = structlog.get_logger(__name__)

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


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens count: an issuer's, for one of these audiences, signed with its keys, read by its rules.

    `audience_claim` is where they say for whom they are: `aud`, or where they have none, the claim with the client's id.
    """

    issuer: str
    audiences: tuple[str, ...]
    keys: Keys
    rules: ClaimRules = field(default_factory=ClaimRules)
    audience_claim: str = "aud"

    def is_meant(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token was made for us."""
        return any(each in self.audiences for each in texts_at(claims, self.audience_claim))


class Tokens:
    """Checks callers' tokens: those of the issuers that are trusted, and sessions of guests."""

    def __init__(self, trusted: Sequence[Trust], *, link_secret: str) -> None:
        self._trusted, self._link_secret = tuple(trusted), link_secret

    async def check(self, token: str) -> SignedIn:
        """Who holds this token. Raises ProblemError (401) and says which rule it breaks, never what is in it."""
        try:
            if len(token) > MAX_TOKEN_CHARACTERS:
                raise jwt.InvalidTokenError(f"it is longer than {MAX_TOKEN_CHARACTERS} characters")
            header = jwt.get_unverified_header(token)
            if header.get("typ") == "parley-guest-session+jwt":
                return self._guest(token)
            if str(header.get("typ", "JWT")).lower() not in ("jwt", "at+jwt", "application/at+jwt"):
                raise jwt.InvalidTokenError("typ: it is a token of another kind")
            return await self._signed_in(token, header)
        except (jwt.PyJWTError, ValidationError, ValueError) as error:
            raise unauthenticated(error) from None

    async def _signed_in(self, token: str, header: dict[str, Any]) -> SignedIn:
        trust = self._trust_in(jwt.decode(token, options={"verify_signature": False}))
        key, algorithms = await trust.keys.find(header)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(algorithms),
            issuer=trust.issuer,
            leeway=CLOCK_LEEWAY_S,
            options={"require": ["exp", "iss"], "verify_aud": False, "enforce_minimum_key_length": True},
        )
        if not trust.is_meant(claims):
            raise jwt.InvalidAudienceError(f"the claim {trust.audience_claim} does not name this service's audience")
        said = read_claims(claims, trust.rules)
        if said.unusable:
            log.info("claims_not_used_as_they_are", claims=said.unusable, role=said.caller.role)
        return SignedIn(caller=said.caller, expires_at=int(claims["exp"]), email=said.email, locale=said.locale)

    def _trust_in(self, claims: dict[str, Any]) -> Trust:
        """Whose keys to look for, by what the token says of itself; nothing of it counts before its signature is checked with them."""
        of_issuer = [trust for trust in self._trusted if trust.issuer == claims.get("iss")]
        if not of_issuer:
            raise jwt.InvalidIssuerError("the claim iss does not name an issuer that is trusted here")
        return next((trust for trust in of_issuer if trust.is_meant(claims)), of_issuer[0])

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
    return refuse("unauthenticated", f"The bearer token is not accepted: {_reason(error)}.")


def _reason(error: Exception) -> str:
    """Which rule it breaks, with the claim or the part of the header that is about it."""
    match error:
        case ValidationError():
            return "its claims are not as they must be"
        case jwt.ExpiredSignatureError():
            return "exp: it has expired"
        case jwt.MissingRequiredClaimError():
            return f"the claim {error.claim} is missing"
        case jwt.InvalidAlgorithmError():
            return "alg: its key is not for that algorithm"
        case jwt.InvalidSignatureError():
            return "it is not signed with the key that it names"
        case _:
            return str(error)


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
