"""Errors as problem documents (RFC 9457): whatever goes wrong anywhere below a route becomes one here."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.gateway.metrics import Figures
from shared.errors import PROBLEM_MEDIA_TYPE, FieldError, Problem, ProblemError, message_of, problem, refuse
from shared.fields import ORDER_ID_PATTERN

log = structlog.get_logger(__name__)

MAX_FIELD_ERRORS = 20
ORDERS: Final = b"/v1/orders/"
NOTHING_THERE: Final = "There is nothing at this address. See /docs for what there is."
NO_ORDER_ID: Final = (
    f"must match {ORDER_ID_PATTERN}: no slash, blank or #, also not as %2F, %20 or %23. "
    "Send your system's inner id of the order; the number that people read may look otherwise"
)
CHALLENGE: Final = 'Bearer realm="parley"'

# What HTTP itself can refuse, beyond the codes that all services share.
HTTP_CODES: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request is not valid HTTP for this"),
    405: ("method_not_allowed", "This address does not take that method"),
    408: ("timeout", "The request came in too slowly"),
    414: ("address_too_long", "The address is too long"),
    415: ("unsupported_media_type", "The body must be JSON"),
    431: ("headers_too_large", "The headers are too large"),
    501: ("not_implemented", "That is not understood here"),
    505: ("http_version_not_supported", "That version of HTTP is not spoken here"),
}


def http_problem(status: int, detail: str) -> Problem:
    """The problem document of a status that HTTP itself gives."""
    code, title = HTTP_CODES.get(status, ("http", HTTPStatus(status).phrase))
    return Problem(type=f"urn:parley:problem:{code}", title=title, status=status, detail=detail)


def answer(problem: Problem, *, headers: Mapping[str, str] | None = None) -> Response:
    """The document as an HTTP answer; a 401 says which scheme to use, and that the token is no good unless it says otherwise."""
    said = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        said.setdefault("WWW-Authenticate", f'{CHALLENGE}, error="invalid_token"')
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, status_code=problem.status, media_type=PROBLEM_MEDIA_TYPE, headers=said)


def answer_error(error: ProblemError, figures: Figures) -> Response:
    """The problem that was raised, as an HTTP answer, and counted."""
    figures.problems.labels(code=error.problem.code).inc()
    retry = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return answer(error.problem, headers=retry | dict(error.headers))


def without_token(detail: str) -> ProblemError:
    """401 for a request that brought no bearer token: nothing is wrong with one, so no error code is said (RFC 6750, 3.1)."""
    return ProblemError(problem("unauthenticated", detail), headers={"WWW-Authenticate": CHALLENGE})


def unavailable(detail: str, *, retry_after_s: int = 1, **members: Any) -> ProblemError:
    """503 with Retry-After: something that we need is away, and will be back."""
    return ProblemError(problem("unavailable", detail, **members), retry_after_s=retry_after_s)


def invalid(errors: Iterable[Mapping[str, Any]], *, skip: int = 0) -> ProblemError:
    """422 with the field and the message of each of pydantic's errors, never the value. `skip` leaves out the first parts of a place."""
    fields = [
        FieldError(field=_place(error["loc"][skip:] or error["loc"][:1]), message=_message(error)) for error in errors
    ]
    return invalid_fields(fields)


def invalid_fields(fields: Sequence[FieldError]) -> ProblemError:
    first = fields[0]
    return refuse("invalid_request", f"{first.field}: {first.message}", errors=list(fields[:MAX_FIELD_ERRORS]))


def _message(error: Mapping[str, Any]) -> str:
    is_order_id = error["loc"][-1:] == ("order_id",) and error["type"] == "string_pattern_mismatch"
    return NO_ORDER_ID if is_order_id else message_of(error)


def no_order_id() -> Problem:
    """Said of an address whose order id is none, whatever became of the address on the way."""
    return invalid_fields([FieldError(field="order_id", message=NO_ORDER_ID)]).problem


def _place(parts: Sequence[object]) -> str:
    return ".".join(str(part) for part in parts) or "body"


def install(app: FastAPI, *, methods_of: "MethodsOf", figures: Figures) -> None:
    """Makes every error of the application a problem document."""

    async def on_problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)  # noqa: S101 - what it is registered for
        return answer_error(error, figures)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
        return await on_problem(request, invalid(error.errors(), skip=1))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        if error.status_code == HTTPStatus.NOT_FOUND:
            return answer(_nothing_there(request))
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(methods_of(request.url.path))
            return answer(http_problem(405, f"This address takes {allowed}."), headers={"Allow": allowed})
        return answer(http_problem(error.status_code, str(error.detail)))

    app.add_exception_handler(ProblemError, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def _nothing_there(request: Request) -> Problem:
    """404, or 422 where it is an order id that led nowhere: one with a slash, whose `%2F` makes another address of it here or at a proxy.

    Of an address below an order's that nobody knows, only PUT, by which orders come, is surely about an id that has slashes.
    """
    sent: bytes = request.scope.get("raw_path") or request.url.path.encode()
    if not sent.startswith(ORDERS):
        return problem("not_found", NOTHING_THERE)
    order_id, slash, _ = sent.removeprefix(ORDERS).partition(b"/")
    if "/" in unquote(order_id.decode("latin-1")) or (slash and not order_id) or request.method == "PUT":
        return no_order_id()
    return problem("not_found", f"{NOTHING_THERE} If it was meant to name an order: order_id {NO_ORDER_ID}.")


class MethodsOf:
    """Which methods an address takes, over all routes (Starlette's own 405 knows the first route's only)."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def __call__(self, path: str) -> list[str]:
        asked = path.strip("/").split("/")
        found = set[str]()
        for template, operations in self._app.openapi()["paths"].items():
            if _fits(template.strip("/").split("/"), asked):
                found |= {method.upper() for method in operations if method != "parameters"}
        if "GET" in found:
            found.add("HEAD")
        return sorted(found)


def _fits(template: Sequence[str], asked: Sequence[str]) -> bool:
    return len(template) == len(asked) and all(
        part.startswith("{") or part == other for part, other in zip(template, asked, strict=True)
    )
