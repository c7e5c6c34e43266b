"""Every error of the query API as a problem document (RFC 9457), in one place."""

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException

from shared.errors import PROBLEM_MEDIA_TYPE, FieldError, Problem, ProblemCode, ProblemError, message_of, problem
from shared.mongo import is_away

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 2
CODE_OF_STATUS: dict[int, ProblemCode] = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 413: "too_large"}


def problem_response(found: Problem, *, retry_after_s: int | None = None) -> Response:
    headers = {"cache-control": "no-store"}
    if retry_after_s is not None:
        headers["retry-after"] = str(retry_after_s)
    if found.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = found.model_dump_json(exclude_none=True)
    return Response(body, status_code=found.status, headers=headers, media_type=PROBLEM_MEDIA_TYPE)


def install_problem_handlers(app: FastAPI) -> None:
    """Makes the application answer with problem documents whatever goes wrong."""
    app.add_exception_handler(ProblemError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(PyMongoError, _database)
    app.add_exception_handler(Exception, _defect)


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    return problem_response(error.problem, retry_after_s=error.retry_after_s)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Names each wrong field and what it must be, never its value."""
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [FieldError(field=_field(each["loc"]), message=message_of(each)) for each in error.errors()]
    detail = "; ".join(f"{each.field}: {each.message}" for each in wrong)
    return problem_response(problem("invalid_request", f"{detail}.", errors=wrong))


def _field(location: tuple[str | int, ...]) -> str:
    """`limit` for ("query", "limit"): where it stands is clear from its name."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


async def _no_route(_request: Request, error: Exception) -> Response:
    """A path or method that does not exist keeps its status, which our codes do not all have."""
    if not isinstance(error, HTTPException):
        raise error
    code = CODE_OF_STATUS.get(error.status_code, "invalid_request")
    answer = problem(code, str(error.detail)).model_copy(update={"status": error.status_code})
    response = problem_response(answer)
    response.headers.update(error.headers or {})
    return response


async def _database(_request: Request, error: Exception) -> Response:
    if isinstance(error, PyMongoError) and is_away(error):
        log.warning("database_away", error=type(error).__name__)
        away = problem("unavailable", "The threads cannot be read for the moment; try again soon.")
        return problem_response(away, retry_after_s=RETRY_AFTER_S)
    return await _defect(_request, error)


async def _defect(_request: Request, error: Exception) -> Response:
    """A bug of ours: logged with its traceback, answered without it."""
    log.error("query_failed", path=_request.scope["path"], exc_info=error)
    return problem_response(problem("internal", "This is an error on our side, and it has been logged."))
