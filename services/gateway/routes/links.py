"""What links in mails open: a guest's session, and the end of mails. Neither needs a bearer token."""

import html
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import jwt
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from services.gateway import bodies, described, problems
from services.gateway.bodies import json_body_of_anyone
from services.gateway.parameters import given_once, only_known_of_anyone
from services.gateway.parts import Parts, TheParts
from services.gateway.requests import GuestLink
from services.gateway.results import GuestSession
from services.gateway.writes import heading
from shared import tokens
from shared.commands import STAMP_PATTERN, PreferencesToSet, SetPreferences
from shared.errors import refuse

router = APIRouter(prefix="/v1", tags=["links"])

MAX_FORM_BYTES: Final = 4_096
UnsubscribeToken = Annotated[str, Query(alias="token", min_length=1, max_length=2_000)]
UndoneStamp = Annotated[
    str | None, Query(pattern=STAMP_PATTERN, description="As the page says it: which click to take back")
]
PAGE_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
PAGE: dict[str, Any] = {"description": "A small page", "content": {"text/html": {"schema": {"type": "string"}}}}
ONE_CLICK: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {"List-Unsubscribe": {"type": "string", "const": "One-Click"}},
                }
            }
        },
    }
}


@router.post(
    "/guest-sessions",
    operation_id="openGuestSession",
    dependencies=[Depends(only_known_of_anyone)],
    summary="Exchange a guest's link for a session",
    status_code=201,
    response_model=GuestSession,
    responses=described.problems(401, 408, 413, 415, 422, 429),
    openapi_extra=described.takes(GuestLink, {"token": "eyJ…"}),
)
async def open_guest_session(parts: TheParts, link: Annotated[GuestLink, json_body_of_anyone(GuestLink)]) -> Response:
    """The token from the fragment of the link in the mail; the answer is a bearer token of an hour, for that one thread."""
    secret = parts.settings.link_secret.get_secret_value()
    try:
        claims = tokens.read_own(link.token, "parley-guest-link+jwt", secret=secret)
        order_id = str(claims["order_id"])
        parts.commands.limits.open_guest_session(order_id)
        access_token = tokens.mint_guest_session(claims, secret=secret, now=time.time())
    except (jwt.InvalidTokenError, KeyError, ValueError):
        raise problems.without_token("The link is not valid any more. Take the one in the newest mail.") from None
    session = GuestSession(access_token=access_token, expires_in=tokens.GUEST_SESSION_LIFE_S, order_id=order_id)
    return JSONResponse(session.model_dump(), status_code=201)


@router.get(
    "/unsubscribe",
    operation_id="askToUnsubscribe",
    dependencies=[Depends(given_once)],
    summary="A page that asks before it switches mails off",
    response_class=HTMLResponse,
    responses={200: PAGE, **described.problems(404, 422)},
)
async def ask_to_unsubscribe(token: UnsubscribeToken, parts: TheParts) -> Response:
    """Changes nothing: mail programs and scanners follow links."""
    _whose(token, parts)
    form = (
        f'<form method="post" action="/v1/unsubscribe?token={html.escape(token)}">'
        '<input type="hidden" name="List-Unsubscribe" value="One-Click">'
        "<button>No more mails</button></form>"
    )
    return _page("No more mails about your orders?", form)


@router.post(
    "/unsubscribe",
    operation_id="unsubscribe",
    dependencies=[Depends(given_once)],
    summary="Switch mails off with one click (RFC 8058)",
    response_class=HTMLResponse,
    responses={200: PAGE, **described.problems(404, 408, 413, 422, 429, 503)},
    openapi_extra=ONE_CLICK,
)
async def unsubscribe(request: Request, token: UnsubscribeToken, parts: TheParts, undo: UndoneStamp = None) -> Response:
    """What the token's person gets by mail is switched off once RabbitMQ has the command; a guest's also for their address.

    They can switch it on again themselves; the button on the page takes back (`undo`) what this click did. A person's clicks of one day,
    in mails to one address, are one command, so that they leave one outcome; each is a wish of its own all the same.
    """
    await bodies.raw_body(request, limit_bytes=MAX_FORM_BYTES)
    person, address_key = _whose(token, parts)
    parts.commands.limits.unsubscribe(person)
    if undo is not None:
        taken_back = PreferencesToSet(person=person, address_key=address_key, undo=undo)
        command_id = parts.command_ids.for_key(person, "unsubscribe undo", None, undo)
        await parts.commands.hand_over(SetPreferences(**heading(command_id), data=taken_back))
        return _page("You get mails as before.", "<p>You can change that in your preferences.</p>")
    # What was mailed to another address is another wish.
    command_id = parts.command_ids.for_key(person, "unsubscribe", None, f"{datetime.now(UTC):%Y-%m-%d} {address_key}")
    asked = PreferencesToSet(person=person, messages=False, disputes=False, renewed=True, address_key=address_key)
    command = SetPreferences(**heading(command_id), data=asked)
    await parts.commands.hand_over(command)
    back = (
        f'<form method="post" action="/v1/unsubscribe?token={html.escape(token)}&amp;undo={command.stamp}">'
        "<button>Undo</button></form>"
    )
    return _page("You get no more mails.", f"<p>You can switch them on again in your preferences.</p>{back}")


def _whose(token: str, parts: Parts) -> tuple[str, str | None]:
    """The person whose mails the token can switch off, and what stands for the address that it was mailed to."""
    try:
        claims = tokens.read_own(token, "parley-unsubscribe+jwt", secret=parts.settings.link_secret.get_secret_value())
    except (jwt.InvalidTokenError, ValueError):
        raise refuse("not_found", "This link is not valid any more. Take the one in the newest mail.") from None
    address_key = claims.get("address_key")
    return str(claims["sub"]), None if address_key is None else str(address_key)


def _page(title: str, content: str) -> Response:
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><h1>{title}</h1>{content}</html>'
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": PAGE_POLICY})
