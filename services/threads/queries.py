"""The query API: the public paths of everything that only asks. Nothing here changes anything.

The gateway passes the answers' bytes through, and the caller's token on, which is checked here again.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from services.threads import command_status, history, intake, lists, me, order_page, search
from services.threads.addresses import AddressKeys
from services.threads.cursors import MAX_CHARACTERS, Cursors
from services.threads.lists import Listing
from shared.callers import Caller
from shared.commands import CommandOutcome
from shared.errors import FieldError, Problem, refuse
from shared.fields import MAX_EXACT_INTEGER, CommandId, OrderId, OrderVersion, Seq
from shared.mongo import Database
from shared.queries import (
    HISTORY_LIMIT_DEFAULT,
    LIST_LIMIT_DEFAULT,
    QUERY_MAX_CHARACTERS,
    DisputeView,
    History,
    HistoryLimit,
    Limit,
    Me,
    OrderFilter,
    OrderIntake,
    OrderPreferences,
    OrderView,
    Preferences,
    ThreadFilter,
    ThreadPage,
    ThreadSort,
)
from shared.tokens import CheckedTokens, Tokens

BEARER: Final = "bearer "


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL (U+0000)")
    return value


Keyword = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=QUERY_MAX_CHARACTERS),
    AfterValidator(_without_nul),
]


class Asked(BaseModel):
    """Parameters of a query; one that is not known is refused, since a misspelt filter would otherwise show everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ListAsked(Asked):
    q: Keyword | None = None
    limit: Limit = LIST_LIMIT_DEFAULT
    cursor: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)] | None = None


class OrdersAsked(ListAsked):
    filter: OrderFilter = "all"


class ThreadsAsked(ListAsked):
    filter: ThreadFilter = "all"
    sort: ThreadSort = "newest"


class HistoryAsked(Asked):
    before_seq: Annotated[int, Field(ge=1, le=MAX_EXACT_INTEGER)] | None = None
    after_seq: Seq | None = None
    limit: HistoryLimit = HISTORY_LIMIT_DEFAULT


ORDER_ID: Final = TypeAdapter[str](OrderId)
COMMAND_ID: Final = TypeAdapter[str](CommandId)
VERSION: Final = TypeAdapter[int](OrderVersion)

A = TypeVar("A", bound=Asked)
V = TypeVar("V")


class Question(APIRoute):
    """Hands the request to its endpoint as it is: finding the parameters itself is two thirds of what a route of FastAPI's costs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


@dataclass(frozen=True)
class Answers:
    """The answer to each question. Whose it is is found before anything else is looked at. `shop` is what the shop is called."""

    database: Database
    cursors: Cursors
    tokens: CheckedTokens
    shop: str
    address_keys: AddressKeys

    async def orders(self, request: Request) -> Response:
        caller, asked = await self._caller(request), _asked(OrdersAsked, request)
        return await self._page(caller, lists.orders_of(caller, asked.filter, q=asked.q), asked, sort=None)

    async def threads(self, request: Request) -> Response:
        caller, asked = await self._caller(request), _asked(ThreadsAsked, request)
        listing = lists.threads_of(caller, asked.filter, asked.sort, q=asked.q)
        return await self._page(caller, listing, asked, sort=asked.sort)

    async def order(self, request: Request) -> Response:
        caller, order_id = await self._caller(request), _in_path(request, "order_id", ORDER_ID)
        return answer(await order_page.order(self.database, caller, order_id, shop=self.shop))

    async def messages(self, request: Request) -> Response:
        caller, order_id = await self._caller(request), _in_path(request, "order_id", ORDER_ID)
        asked = _asked(HistoryAsked, request)
        if asked.before_seq is not None and asked.after_seq is not None:
            wrong = FieldError(field="after_seq", message="cannot be given together with before_seq")
            raise refuse("invalid_request", "Ask for older entries or for newer ones, not both.", errors=[wrong])
        before, after = asked.before_seq, asked.after_seq
        found = await history.page(
            self.database, caller, order_id, before_seq=before, after_seq=after, limit=asked.limit
        )
        return answer(found, following=found.next)

    async def dispute(self, request: Request) -> Response:
        caller, order_id = await self._caller(request), _in_path(request, "order_id", ORDER_ID)
        found = await order_page.dispute(self.database, caller, order_id)
        return answer(found, etag=found.etag)

    async def me(self, request: Request) -> Response:
        return answer(await me.me(self.database, await self._caller(request)))

    async def preferences(self, request: Request) -> Response:
        return answer(await me.preferences(self.database, await self._caller(request), self.address_keys))

    async def order_preferences(self, request: Request) -> Response:
        caller, order_id = await self._caller(request), _in_path(request, "order_id", ORDER_ID)
        return answer(await me.order_preferences(self.database, caller, order_id, self.address_keys))

    async def shop_preferences(self, request: Request) -> Response:
        return answer(await me.shop_preferences(self.database, await self._caller(request)))

    async def command(self, request: Request) -> Response:
        caller, command_id = await self._caller(request), _in_path(request, "command_id", COMMAND_ID)
        return answer(await command_status.find(self.database, caller, command_id))

    async def intake(self, request: Request) -> Response:
        caller, order_id = await self._caller(request), _in_path(request, "order_id", ORDER_ID)
        if caller.role != "service":
            raise refuse("forbidden", "Only the shop's services may do that. Use a token with the role service.")
        return answer(await intake.find(self.database, order_id, _in_path(request, "version", VERSION)))

    async def _caller(self, request: Request) -> Caller:
        header = request.headers.get("authorization", "")
        if not header.lower().startswith(BEARER):
            raise refuse("unauthenticated", "Send `Authorization: Bearer <token>`.")
        return (await self.tokens.check(header[len(BEARER) :].strip())).caller

    async def _page(self, caller: Caller, listing: Listing, asked: ListAsked, *, sort: ThreadSort | None) -> Response:
        page = lists.page if asked.q is None else search.page
        found = await page(
            self.database,
            caller,
            listing,
            cursors=self.cursors,
            cursor=asked.cursor,
            limit=asked.limit,
            sort=sort,
            shop=self.shop,
        )
        return answer(found, following=found.next)


def _asked(model: type[A], request: Request) -> A:
    """The query, checked. Raises RequestValidationError, which problems.py makes a problem document of, or ProblemError."""
    names = [name for name, _ in request.query_params.multi_items()]
    if doubled := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        wrong = [FieldError(field=name[:100], message="must be given once") for name in doubled]
        raise refuse("invalid_request", f"{wrong[0].field}: must be given once", errors=wrong)
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise _invalid(error, "query") from None


def _in_path(request: Request, name: str, kind: TypeAdapter[V]) -> V:
    try:
        return kind.validate_python(request.path_params[name])
    except ValidationError as error:
        raise _invalid(error, "path", name) from None


def _invalid(error: ValidationError, *place: str) -> RequestValidationError:
    return RequestValidationError([{**each, "loc": (*place, *each["loc"])} for each in error.errors()])


def answer(found: BaseModel, *, etag: str | None = None, following: str | None = None) -> Response:
    """The JSON, for this caller alone: no cache on the way may keep it.

    `following` is the next page's address. As a link (RFC 8288) it is said by its query alone, which is right behind any prefix of a proxy's.
    """
    headers = {"cache-control": "no-store"} | ({"etag": etag} if etag is not None else {})
    if following is not None:
        headers["link"] = f'<?{following.partition("?")[2]}>; rel="next"'
    return Response(found.model_dump_json(), headers=headers, media_type="application/json")


def build_router(
    *, database: Database, tokens: Tokens, link_secret: str, shop: str, address_keys: AddressKeys
) -> APIRouter:
    """The routes. `link_secret` is also the root of the cursors' key, `shop` is what the shop is called."""
    answers = Answers(database, Cursors(link_secret), CheckedTokens(tokens), shop, address_keys)
    router = APIRouter(prefix="/v1", tags=["queries"], route_class=Question)
    routes: list[tuple[str, Callable[..., Awaitable[Response]], type[BaseModel], str]] = [
        ("/orders", answers.orders, ThreadPage, "My account > Orders"),
        ("/threads", answers.threads, ThreadPage, "My account > Messages"),
        ("/orders/{order_id}", answers.order, OrderView, "An order, its thread, and what you may do"),
        ("/orders/{order_id}/messages", answers.messages, History, "The history of an order's thread"),
        ("/orders/{order_id}/dispute", answers.dispute, DisputeView, "The newest dispute about an order"),
        ("/orders/{order_id}/preferences", answers.order_preferences, OrderPreferences, "What I get by mail about it"),
        ("/orders/{order_id}/intake/{version}", answers.intake, OrderIntake, "What became of a version of an order"),
        ("/me", answers.me, Me, "Who am I, and what is new"),
        ("/me/preferences", answers.preferences, Preferences, "What I get by mail"),
        ("/shop/preferences", answers.shop_preferences, Preferences, "What the shop's mailbox gets"),
        ("/commands/{command_id}", answers.command, CommandOutcome, "What became of a write"),
    ]
    for path, endpoint, model, summary in routes:
        router.add_api_route(
            path, endpoint, response_model=model, summary=summary, responses={"default": {"model": Problem}}
        )
    return router
