"""Who is asking: a bearer token in the Authorization header becomes a signed-in caller, or a 401."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.gateway import problems
from shared.errors import refuse
from shared.tokens import CheckedTokens, SignedIn

BEARER: Final = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    auto_error=False,
    description="A JWT of the shop's (issuer, audience and expiry required), or a guest's session.",
)


async def bearer_token(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> str:
    """The token as it was sent. One that stands anywhere else than in the one Authorization header does not count."""
    if len(request.headers.getlist("authorization")) > 1:
        raise refuse("unauthenticated", "Send one Authorization header: Bearer <token>.")
    if credentials is None:
        raise problems.without_token("Send your token in the header: Authorization: Bearer <token>.")
    return credentials.credentials


BearerToken = Annotated[str, Depends(bearer_token)]


async def signed_in(request: Request, token: BearerToken) -> SignedIn:
    checked: CheckedTokens = request.app.state.parts.tokens
    return await checked.check(token)


SignedInCaller = Annotated[SignedIn, Depends(signed_in)]
