"""What surrounds every request: its id, limits on its head, headers on every answer, and a last resort for defects."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway import heads, problems
from services.gateway.metrics import Figures
from shared import logs
from shared.errors import Problem, problem

log = structlog.get_logger(__name__)

MAX_PATH_BYTES: Final = 1024
MAX_HEADERS_BYTES: Final = 16 * 1024
REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-site"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", POLICY.encode()),
)

KNOWN_VERSIONS: Final = ("1.0", "1.1")

Header = tuple[bytes, bytes]
Headers = Iterable[Header]


class Frame:
    """The outermost layer, in bare ASGI: it must not buffer live connections. A route may set its own of the headers.

    What it refuses itself goes through `cors` too: a page would else see a broken network where it is told what is wrong.
    """

    def __init__(self, app: ASGIApp, *, figures: Figures, cors: Callable[[ASGIApp], ASGIApp] | None = None) -> None:
        self._app, self._figures, self._cors = app, figures, cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(scope["headers"])
        started = False

        async def send_framed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = _complete(message.get("headers", ()), request_id)
            await send(message)

        # The server runs each request in a context of its own, so nothing has to be taken back.
        logs.request_id.set(request_id)
        try:
            await self._handle(scope, receive, send_framed)
        except ClientDisconnect:
            log.info("client_gone", method=scope["method"], route=_route(scope))
        except Exception:
            log.exception("request_failed", method=scope["method"], route=_route(scope))
            self._figures.problems.labels(code="internal").inc()
            if not started:
                said = f"Something went wrong on our side. Say this when you report it: {request_id}."
                await self._say(problem("internal", said), scope, receive, send_framed)
        return None

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, send)
        status, said = refusal
        return await self._say(problems.http_problem(status, said), scope, receive, send)

    async def _say(self, problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
        answer: ASGIApp = problems.answer(problem)
        await (answer if self._cors is None else self._cors(answer))(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    if len(scope["query_string"]) > heads.MAX_QUERY_BYTES or len(scope.get("raw_path") or b"") > MAX_PATH_BYTES:
        return 414, f"The path may have {MAX_PATH_BYTES} bytes, the query {heads.MAX_QUERY_BYTES}."
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADERS_BYTES:
        return 431, f"The headers may have {MAX_HEADERS_BYTES} bytes."
    codings = b",".join(value for name, value in scope["headers"] if name == b"transfer-encoding")
    if codings and codings.strip().lower() != b"chunked":
        return 501, "Send the body as it is or with Transfer-Encoding: chunked; no other coding is understood here."
    if scope.get("http_version", "1.1") not in KNOWN_VERSIONS:
        return 505, "Ask with HTTP/1.1."
    return None


def _request_id(headers: Headers) -> str:
    """The caller's or proxy's own, where it is harmless, so that logs can be joined."""
    given = next((value for name, value in headers if name == b"x-request-id"), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _complete(headers: Headers, request_id: str) -> list[Header]:
    """ASGI writes the names of headers in lower case, and so do routes here."""
    own = list(headers)
    names = {name for name, _ in own}
    own.append((b"x-request-id", request_id.encode()))
    own += [header for header in ALWAYS if header[0] not in names]
    return own


def _route(scope: Scope) -> str:
    """The route's template; the path itself may name an order."""
    return str(getattr(scope.get("route"), "path", "none"))
