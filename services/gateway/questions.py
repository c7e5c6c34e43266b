"""The short way of the questions that pages ask most: lists, an order, its history, the badges."""

import functools
import re
from dataclasses import dataclass
from typing import Final

from fastapi.responses import Response
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from services.gateway import heads
from services.gateway.parts import Parts
from services.gateway.requests import HistoryQuery, OrdersQuery, ThreadsQuery
from shared.fields import ORDER_ID_PATTERN

ORDER_ID: Final = ORDER_ID_PATTERN.strip("^$")
# An address, the template of its route, and what may be asked; as the routes have them, which a test watches.
ADDRESSES: Final[tuple[tuple[re.Pattern[str], str, type[BaseModel] | None], ...]] = (
    (re.compile(f"/v1/orders/{ORDER_ID}/messages"), "/v1/orders/{order_id}/messages", HistoryQuery),
    (re.compile(f"/v1/orders/{ORDER_ID}"), "/v1/orders/{order_id}", None),
    (re.compile("/v1/threads"), "/v1/threads", ThreadsQuery),
    (re.compile("/v1/orders"), "/v1/orders", OrdersQuery),
    (re.compile("/v1/me"), "/v1/me", None),
)
# No percent sign and no plus: what is said in other words is read the ordinary way.
PLAIN_QUERY: Final = re.compile(rb"[A-Za-z0-9._~=&-]*")
WITH_BODY: Final = (b"content-length", b"transfer-encoding")


@dataclass(frozen=True, slots=True)
class Question:
    """A question that threads may be asked as it is; the token is still to be checked."""

    route: str
    target: str
    token: str

    async def answer(self, parts: Parts, receive: Receive) -> Response:
        del receive
        await parts.tokens.check(self.token)
        return await parts.threads.ask(self.target, self.token)


def plainly_good(scope: Scope) -> Question | None:
    """The question, where its address, query and headers are in their usual form; None sends it the ordinary way."""
    path, query = scope["path"], scope["query_string"]
    address = next((each for each in ADDRESSES if each[0].fullmatch(path)), None)
    head = heads.usual(scope)
    if len(query) > heads.MAX_QUERY_BYTES:
        return None
    if address is None or head is None or any(name in head.headers for name in WITH_BODY):
        return None
    _, route, model = address
    if not query:
        return Question(route, path, head.token)
    if model is None or not _is_valid(model, query):
        return None
    return Question(route, f"{path}?{query.decode('ascii')}", head.token)


@functools.lru_cache(maxsize=256)
def _is_valid(model: type[BaseModel], query: bytes) -> bool:
    if not PLAIN_QUERY.fullmatch(query):
        return False
    pairs = [pair.partition("=") for pair in query.decode("ascii").split("&")]
    asked = {name: value for name, _, value in pairs}
    if len(asked) != len(pairs) or not all(asked.values()):
        return False
    try:
        model.model_validate(asked)
    except ValidationError:
        return False
    return True
