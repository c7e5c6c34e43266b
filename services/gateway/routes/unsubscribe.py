"""The link in a mail that ends mails: a page that asks, what its buttons do, and one click from a mail program (RFC 8058). No bearer token."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs

import jwt
from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from services.gateway import bodies, described, problems, unsubscribe_page
from services.gateway.parameters import given_once
from services.gateway.parts import Parts, TheParts
from services.gateway.unsubscribe_page import Link, UnsubscribePages
from services.gateway.unsubscribe_words import language_for
from services.gateway.writes import heading
from shared import tokens
from shared.commands import STAMP_PATTERN, PreferencesToSet, SetPreferences
from shared.errors import ProblemError, refuse
from shared.fields import OrderId

MAX_FORM_BYTES: Final = 4_096
ORDER_ID: Final[TypeAdapter[str]] = TypeAdapter(OrderId)

UnsubscribeToken = Annotated[str, Query(alias="token", min_length=1, max_length=2_000)]
UndoneStamp = Annotated[
    str | None, Query(pattern=STAMP_PATTERN, description="As the page says it: which click to take back")
]
AboutOrder = Annotated[
    str | None, Query(alias="order", description="The order that the mail was about: its mails alone can be ended too")
]
Language = Annotated[str | None, Query(alias="lang", description="The mail's language, for the page")]
Scope = Annotated[
    Literal["thread", "person"] | None,
    Query(description="What is undone: a click on `this order alone` (`thread`), or on all; as the page says it"),
]
PAGE: dict[str, Any] = {"description": "A small page", "content": {"text/html": {"schema": {"type": "string"}}}}
ONE_CLICK: dict[str, Any] = {
    "requestBody": {
        "required": False,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "List-Unsubscribe": {"type": "string", "const": "One-Click"},
                        "scope": {"type": "string", "enum": ["thread", "person"]},
                    },
                }
            }
        },
    }
}

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ForPeople(APIRoute):
    """What is refused to somebody who looks at it in a browser is a page; programs get the problem document."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            try:
                return await handle(request)
            except (ProblemError, RequestValidationError) as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                refused = error if isinstance(error, ProblemError) else problems.invalid(error.errors())
                return _refused(request, refused)

        return handle_for_people


router = APIRouter(prefix="/v1", tags=["links"], route_class=ForPeople)


@router.get(
    "/unsubscribe",
    operation_id="askToUnsubscribe",
    dependencies=[Depends(given_once)],
    summary="A page that asks which mails are to end",
    response_class=HTMLResponse,
    responses={200: PAGE, **described.problems(404, 422)},
)
async def ask_to_unsubscribe(
    request: Request, token: UnsubscribeToken, parts: TheParts, order: AboutOrder = None, lang: Language = None
) -> Response:
    """Changes nothing: mail programs and scanners follow links. Where the link has ended, a browser gets a page that says so."""
    _whose(token, parts)
    return _page(_pages(parts).ask(_link(request, token, order, lang)))


@router.post(
    "/unsubscribe",
    operation_id="unsubscribe",
    dependencies=[Depends(given_once)],
    summary="Switch mails off with one click (RFC 8058)",
    response_class=HTMLResponse,
    responses={200: PAGE, **described.problems(404, 408, 413, 422, 429, 503)},
    openapi_extra=ONE_CLICK,
)
async def unsubscribe(
    request: Request,
    token: UnsubscribeToken,
    parts: TheParts,
    undo: UndoneStamp = None,
    order: AboutOrder = None,
    lang: Language = None,
    scope: Scope = None,
) -> Response:
    """What the token's person gets by mail is switched off once RabbitMQ has the command; a guest's also for their address. With
    `scope=thread` in the form it is what they get about this `order` alone.

    They can switch it on again themselves; the button on the page takes back (`undo`) what this click did. A person's clicks of one day,
    in mails to one address, are one command, so that they leave one outcome; each is a wish of its own all the same.
    """
    form = parse_qs((await bodies.raw_body(request, limit_bytes=MAX_FORM_BYTES)).decode("utf-8", "replace"))
    person, address_key = _whose(token, parts)
    parts.commands.limits.unsubscribe(person)
    link = _link(request, token, order, lang)
    of_thread = "thread" in (scope, *form.get("scope", []))
    if of_thread and link.order_id is None:
        raise refuse("invalid_request", "The link does not say which order it is about.")
    about = link.order_id if of_thread else None
    whose: dict[str, Any] = {"person": person, "address_key": address_key, "order_id": about}
    if undo is not None:
        command_id = parts.command_ids.for_key(person, "unsubscribe undo", about, undo)
        taken_back = PreferencesToSet(**whose, undo=undo)
        await parts.commands.hand_over(SetPreferences(**heading(command_id, order_id=about), data=taken_back))
        return _page(_pages(parts).as_before(link))
    # What was mailed to another address is another wish.
    command_id = parts.command_ids.for_key(person, "unsubscribe", about, f"{datetime.now(UTC):%Y-%m-%d} {address_key}")
    asked = PreferencesToSet(**whose, messages=False, disputes=False, renewed=True)
    command = SetPreferences(**heading(command_id, order_id=about), data=asked)
    await parts.commands.hand_over(command)
    return _page(_pages(parts).ended(link, order_id=about, stamp=command.stamp))


def _whose(token: str, parts: Parts) -> tuple[str, str | None]:
    """The person whose mails the token can switch off, and what stands for the address that it was mailed to."""
    try:
        claims = tokens.read_own(token, "parley-unsubscribe+jwt", secret=parts.settings.link_secret.get_secret_value())
    except (jwt.InvalidTokenError, ValueError):
        raise refuse("not_found", "This link is not valid any more. Take the one in the newest mail.") from None
    address_key = claims.get("address_key")
    return str(claims["sub"]), None if address_key is None else str(address_key)


def _link(request: Request, token: str, order: str | None, lang: str | None) -> Link:
    """An order that cannot be one is left out: what mail programs make of a link does not keep mails coming."""
    try:
        order_id = None if order is None else ORDER_ID.validate_python(order)
    except ValidationError:
        order_id = None
    return Link(token, order_id, language_for(lang, request.headers.get("accept-language", "")))


def _pages(parts: Parts) -> UnsubscribePages:
    return UnsubscribePages(parts.settings.shop)


def _refused(request: Request, error: ProblemError) -> Response:
    parts: Parts = request.app.state.parts
    parts.figures.problems.labels(code=error.problem.code).inc()
    language = language_for(request.query_params.get("lang"), request.headers.get("accept-language", ""))
    status = error.problem.status
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return _page(_pages(parts).refused(language, status=status), status=status, headers=retry)


def _page(page: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    own = {"Content-Security-Policy": unsubscribe_page.POLICY, "Vary": "Accept, Accept-Language"}
    return HTMLResponse(page, status_code=status, headers=own | dict(headers or {}))
