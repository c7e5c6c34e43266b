"""The short way of live connections: each lasts, and so would every layer of what FastAPI does around a route; a third of its memory."""

from dataclasses import dataclass
from typing import ClassVar, Final

from fastapi.responses import Response
from starlette.types import Receive, Scope

from services.gateway import heads
from services.gateway.parts import Parts
from services.gateway.questions import WITH_BODY
from services.gateway.routes.live import MAX_ID_CHARACTERS, listen

LAST_EVENT_ID: Final = b"last-event-id"


@dataclass(frozen=True, slots=True)
class Listening:
    """A request for live events; the token is still to be checked."""

    route: ClassVar[str] = "/v1/events"

    token: str
    last_event_id: str | None

    async def answer(self, parts: Parts, receive: Receive) -> Response:
        del receive
        return await listen(await parts.tokens.check(self.token), self.token, parts, self.last_event_id)


def plainly_good(scope: Scope) -> Listening | None:
    """The request, where its address and headers are in their usual form; None sends it the ordinary way."""
    if scope["path"] != Listening.route or scope["query_string"]:
        return None
    head = heads.usual(scope)
    if head is None or any(name in head.headers for name in WITH_BODY):
        return None
    seen = head.headers.get(LAST_EVENT_ID)
    if seen is not None and len(seen) > MAX_ID_CHARACTERS:
        return None
    return Listening(head.token, None if seen is None else seen.decode("latin-1"))
