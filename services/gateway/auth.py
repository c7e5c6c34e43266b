"""Who is asking: a bearer token in the Authorization header becomes a signed-in caller, or a 401."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.errors import refuse
from shared.tokens import CLOCK_LEEWAY_S, SignedIn, Tokens

KEEP_CHECKED_S: Final = 60.0
MAX_KEPT: Final = 10_000

BEARER: Final = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    auto_error=False,
    description="A JWT of the shop's (issuer, audience and expiry required), or a guest's session.",
)


class CheckedTokens:
    """Checks tokens, and for a minute (never beyond its expiry) takes a token that it has checked at its word.

    Only a token's hash is kept. A key that the shop withdraws is refused a minute later at most.
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
        self._kept[digest] = (min(now + KEEP_CHECKED_S, signed_in.expires_at + CLOCK_LEEWAY_S), signed_in)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return signed_in


async def bearer_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> str:
    """The token as it was sent. One that stands anywhere else than in the one Authorization header does not count."""
    if credentials is None or len(request.headers.getlist("authorization")) != 1:
        raise refuse("unauthenticated", "Send your token in the header: Authorization: Bearer <token>.")
    return credentials.credentials


BearerToken = Annotated[str, Depends(bearer_token)]


async def signed_in(request: Request, token: BearerToken) -> SignedIn:
    checked: CheckedTokens = request.app.state.parts.tokens
    return await checked.check(token)


SignedInCaller = Annotated[SignedIn, Depends(signed_in)]
