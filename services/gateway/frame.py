"""What surrounds every request: its id, limits on its head, headers on every answer, and a last resort for defects."""

import re
import uuid
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import problems
from services.gateway.metrics import Figures
from shared.errors import problem

log = structlog.get_logger(__name__)

MAX_QUERY_BYTES: Final = 4 * 1024
MAX_PATH_BYTES: Final = 1024
MAX_HEADERS_BYTES: Final = 16 * 1024
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
}

Headers = Iterable[tuple[bytes, bytes]]


class Frame:
    """The outermost layer, in bare ASGI: it must not buffer live connections. A route may set its own of the headers."""

    def __init__(self, app: ASGIApp, *, figures: Figures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(scope["headers"])
        started = False

        async def send_framed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _complete(MutableHeaders(scope=message), request_id)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._handle(scope, receive, send_framed)
            except Exception:
                log.exception("request_failed", method=scope["method"], route=_route(scope))
                self._figures.problems.labels(code="internal").inc()
                if not started:
                    said = f"Something went wrong on our side. Say this when you report it: {request_id}."
                    await problems.answer(problem("internal", said))(scope, receive, send_framed)
        return None

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, send)
        status, said = refusal
        return await problems.answer(problems.http_problem(status, said))(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    if len(scope["query_string"]) > MAX_QUERY_BYTES or len(scope.get("raw_path") or b"") > MAX_PATH_BYTES:
        return 414, f"The path may have {MAX_PATH_BYTES} bytes, the query {MAX_QUERY_BYTES}."
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS_BYTES:
        return 431, f"The headers may have {MAX_HEADERS_BYTES} bytes."
    return None


def _request_id(headers: Headers) -> str:
    """The caller's or proxy's own, where it is harmless, so that logs can be joined."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _complete(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-Id"] = request_id
    for name, value in ALWAYS.items():
        headers.setdefault(name, value)


def _route(scope: Scope) -> str:
    """The route's template; the path itself may name an order."""
    return str(getattr(scope.get("route"), "path", "none"))
