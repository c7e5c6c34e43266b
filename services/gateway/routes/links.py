"""What a guest's link opens: a session, without a bearer token. The other link in mails is unsubscribe.py's."""

import time
from http import HTTPStatus
from typing import Annotated

import jwt
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from services.gateway import described, problems
from services.gateway.bodies import json_body_of_anyone
from services.gateway.parameters import only_known_of_anyone
from services.gateway.parts import Parts, TheParts
from services.gateway.requests import GuestLink
from services.gateway.results import GuestSession
from shared import tokens
from shared.errors import ProblemError, refuse

router = APIRouter(prefix="/v1", tags=["links"])


@router.post(
    "/guest-sessions",
    operation_id="openGuestSession",
    dependencies=[Depends(only_known_of_anyone)],
    summary="Exchange a guest's link for a session",
    status_code=201,
    response_model=GuestSession,
    responses=described.problems(401, 408, 410, 413, 415, 422, 429),
    openapi_extra=described.takes(GuestLink, {"token": "eyJ…"}),
)
async def open_guest_session(parts: TheParts, link: Annotated[GuestLink, json_body_of_anyone(GuestLink)]) -> Response:
    """The token from the fragment of the link in the mail; the answer is a bearer token of an hour, for that one thread.

    410 (`link_ended`) once the order belongs to an account: whoever bought it signs in to the shop."""
    secret = parts.settings.link_secret.get_secret_value()
    try:
        claims = tokens.read_own(link.token, "parley-guest-link+jwt", secret=secret)
        order_id = str(claims["order_id"])
        parts.commands.limits.open_guest_session(order_id)
        access_token = tokens.mint_guest_session(claims, secret=secret, now=time.time())
    except (jwt.InvalidTokenError, KeyError, ValueError):
        raise problems.without_token("The link is not valid any more. Take the one in the newest mail.") from None
    await _require_guest(order_id, access_token, parts)
    session = GuestSession(access_token=access_token, expires_in=tokens.GUEST_SESSION_LIFE_S, order_id=order_id)
    return JSONResponse(session.model_dump(), status_code=201)


async def _require_guest(order_id: str, access_token: str, parts: Parts) -> None:
    """Raises link_ended where the thread is not this guest's any more. While threads is away nobody is refused: it is asked again with
    whatever the session is for."""
    try:
        seen = await parts.threads.ask(f"/v1/orders/{order_id}", access_token)
    except ProblemError:
        return
    if seen.status_code == HTTPStatus.NOT_FOUND:
        detail = (
            "The order belongs to an account now, or is not there any more. Sign in to the shop to read and answer."
        )
        raise refuse("link_ended", detail)
