"""The keys that sign callers' tokens: an issuer's published set (RFC 7517), or in demo mode a shared secret.

Which algorithms a key is good for is said by the key, never by the token alone (RFC 8725, 3.1): by its `alg`, else by its type and curve.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt
import structlog
from jwt.algorithms import OKPAlgorithm

from shared.errors import refuse

log = structlog.get_logger(__name__)

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS_OF_CURVES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("OKP", "Ed448"): ("EdDSA",),
}
ASYMMETRIC_ALGORITHMS: Final = tuple(dict.fromkeys((*RSA_ALGORITHMS, *sum(ALGORITHMS_OF_CURVES.values(), ()))))
# What RFC 9864 calls EdDSA with this curve; PyJWT knows the older name alone.
with contextlib.suppress(ValueError):
    jwt.register_algorithm("Ed25519", OKPAlgorithm())

Fetch = Callable[[], Awaitable[dict[str, Any]]]


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


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A published key, its number if it has one, and the algorithms that it is for."""

    kid: str | None
    key: Any
    algorithms: tuple[str, ...]


class JwksKeys:
    """An issuer's published keys, kept for a while and fetched anew when a token names a key that is not among them.

    However many tokens name unknown keys, there is one fetch at a time and one every ten seconds; a known key never waits for one that
    another caller has begun. `address` is what the log calls the set. Where the issuer cannot be asked, or answers what is no set of keys, the known ones stay good for a day; a set
    without keys withdraws them all.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        address: str = "",
        keep_s: float = 300,
        at_most_every_s: float = 10,
        none_yet_every_s: float = 1,
        good_unconfirmed_s: float = 24 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch, self._address, self._clock = fetch, address, clock
        self._keep_s, self._at_most_every_s, self._none_yet_every_s = keep_s, at_most_every_s, none_yet_every_s
        self._good_unconfirmed_s = good_unconfirmed_s
        self._keys: list[SigningKey] | None = None
        self._tried_at = self._fetched_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def find(self, header: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
        """Raises ProblemError (503) while no keys could be fetched."""
        kid, algorithm = header.get("kid"), header.get("alg")
        if kid is not None and not isinstance(kid, str):
            raise jwt.InvalidTokenError("kid: the header names its key with something else than a text")
        if not self._is_fresh(kid, algorithm) and not (self._knows(kid, algorithm) and self._fetching.locked()):
            async with self._fetching:
                if not self._is_fresh(kid, algorithm):
                    await self._refresh()
        if self._keys is None:
            raise refuse("unavailable", "The shop's token keys cannot be fetched; try again soon.")
        return _only_fitting(self._named(kid), kid, algorithm)

    def _named(self, kid: str | None) -> list[SigningKey]:
        """The keys that this number, or no number, may stand for."""
        return [key for key in self._keys or () if kid is None or key.kid == kid]

    def _knows(self, kid: str | None, algorithm: object) -> bool:
        return any(kid is not None or algorithm in key.algorithms for key in self._named(kid))

    def _is_fresh(self, kid: str | None, algorithm: object) -> bool:
        """Whether what is known about this key may be taken at its word without asking the issuer."""
        if self._knows(kid, algorithm):
            good_for_s = self._keep_s
        else:
            good_for_s = self._none_yet_every_s if self._keys is None else self._at_most_every_s
        return self._clock() - self._tried_at <= good_for_s

    async def _refresh(self) -> None:
        """Takes the keys anew; where there are none to be had, the known ones stay good for their time."""
        try:
            self._keys = usable(await self._fetch())
            self._fetched_at = self._clock()
        except (OSError, TimeoutError, ValueError, TypeError, jwt.PyJWTError) as error:
            log.warning("jwks_not_fetched", address=self._address, error=type(error).__name__)
            if self._clock() - self._fetched_at > self._good_unconfirmed_s:
                self._keys = None
        finally:
            self._tried_at = self._clock()


def _only_fitting(named: Sequence[SigningKey], kid: str | None, algorithm: object) -> tuple[Any, tuple[str, ...]]:
    """Raises jwt.InvalidTokenError, and says whether it is the number or the algorithm."""
    if not named:
        raise jwt.InvalidTokenError("kid: the token's key is not among those that its issuer publishes")
    fitting = [each for each in named if algorithm in each.algorithms]
    if not fitting:
        known = sorted({name for each in named for name in each.algorithms})
        whose = "its key is" if kid is not None else "its issuer's keys are"
        raise jwt.InvalidTokenError(f"alg: {whose} for {', '.join(known)}")
    if kid is None and len(fitting) > 1:
        raise jwt.InvalidTokenError("kid: the header names no key, and more than one of its issuer's fit")
    return fitting[-1].key, fitting[-1].algorithms


def usable(document: Mapping[str, Any]) -> list[SigningKey]:
    """The keys that may sign; none where the set is empty. One that is broken is left out. Raises ValueError for what is no set of keys."""
    published = document.get("keys")
    if published == []:
        return []
    if not isinstance(published, list):
        raise ValueError("there is no list of keys")
    found = [key for each in published if (key := _signing_key(each)) is not None]
    if not found:
        raise ValueError("none of the keys can be used")
    return found


def _signing_key(published: object) -> SigningKey | None:
    """A public key, published for signatures; None for any other. Shared secrets have no place in a published document."""
    if not isinstance(published, dict):
        return None
    kid, use, algorithms = published.get("kid"), published.get("use"), _algorithms_of(published)
    if not (kid is None or isinstance(kid, str)) or use not in (None, "sig") or not algorithms:
        return None
    if "d" in published:
        log.error("jwks_private_key_published", kid=kid)
        return None
    try:
        return SigningKey(kid, jwt.PyJWK(published, algorithm=algorithms[0]).key, algorithms)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _algorithms_of(published: dict[str, Any]) -> tuple[str, ...]:
    """What a key is for: the one in its `alg` where it fits its type and curve, else all that do. RFC 9864's name for one is that one."""
    kty, curve, own = published.get("kty"), published.get("crv"), published.get("alg")
    if kty == "RSA":
        fitting: tuple[str, ...] = RSA_ALGORITHMS
    else:
        fitting = ALGORITHMS_OF_CURVES.get((str(kty), str(curve)), ())
    if own is None or (kty == "OKP" and own in fitting):
        return fitting
    return (str(own),) if own in fitting else ()
