"""Which pages of other origins may call the API: Starlette's CORS, with refusals that say what to do as every other refusal does."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from services.gateway import problems

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE")
EXPOSED: Final = (
    "ETag",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
)
# What the API reads, and what tracing in browsers adds to every request that it sees (W3C Trace Context and Baggage; Sentry).
ACCEPTED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-Id",
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
)
MAX_AGE_S: Final = 3_600


class Cors(CORSMiddleware):
    """A layer for both ways, and around what stands outside of them."""

    def __init__(self, app: ASGIApp, *, origins: list[str]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=ACCEPTED,
            expose_headers=EXPOSED,
            max_age=MAX_AGE_S,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's answer; a refusal as a problem document that names what may be asked."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:
            return answer
        said = (
            f"This page may not send that request (CORS: {bytes(answer.body).decode().removeprefix('Disallowed CORS ')}). "
            f"Methods: {', '.join(METHODS)}. Headers: {', '.join(ACCEPTED)}. Origins: the setting CORS_ORIGINS."
        )
        kept = {name: value for name, value in answer.headers.items() if not name.startswith("content-")}
        return problems.answer(problems.http_problem(400, said), headers=kept)
