"""The short way for the requests that come most: bare ASGI, without what FastAPI does around a route.

It takes what is plainly as it should be (posts.py, questions.py, listening.py). Any other request (a header given twice, another content type, an
address that is none, …) goes the ordinary way, through the routes, which say what is wrong; so the two never differ in what they refuse.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from fastapi import FastAPI
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway import listening, posts, problems, questions
from services.gateway.parts import Parts
from shared.errors import ProblemError

Layer = Callable[[ASGIApp], ASGIApp]


class Asked(Protocol):
    """A request that can go the short way; what needs more than its head is still to be checked."""

    @property
    def route(self) -> str:
        """The template of its path."""

    async def answer(self, parts: Parts, receive: Receive) -> Response:
        """Raises ProblemError."""


WAYS: Final[Mapping[str, tuple[Callable[[Scope], Asked | None], ...]]] = {
    "GET": (questions.plainly_good, listening.plainly_good),
    "POST": (posts.plainly_good,),
}


@dataclass(frozen=True, slots=True)
class Address:
    """Stands in the scope where a route would, so that traces and logs name the template."""

    path: str


class ShortWay(FastAPI):
    """FastAPI, with the short way beside it: it leaves out what FastAPI does around every request, and none of our own layers."""

    _short: ASGIApp | None = None

    def open_short_way(self, layers: Iterable[Layer]) -> None:
        """From now on requests may go it. The last layer is the outermost."""
        short: ASGIApp = answer
        for layer in layers:
            short = layer(short)
        self._short = short

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = None if self._short is None else plainly_good(scope)
        if asked is None or self._short is None:
            return await super().__call__(scope, receive, send)
        scope.update(app=self, route=Address(asked.route), asked=asked)
        return await self._short(scope, receive, send)


def plainly_good(scope: Scope) -> Asked | None:
    """The request, where its address and headers are in their usual form; None sends it the ordinary way."""
    ways = WAYS.get(scope["method"], ()) if scope["type"] == "http" else ()
    return next((asked for way in ways if (asked := way(scope)) is not None), None)


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """The innermost of the short way. The application's parts are where routes find them."""
    parts: Parts = scope["app"].state.parts
    asked: Asked = scope["asked"]
    try:
        response = await asked.answer(parts, receive)
    except ProblemError as error:
        response = problems.answer_error(error, parts.figures)
    await response(scope, receive, send)
