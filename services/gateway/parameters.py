"""Query parameters: each that a route knows, once. One that is not known would else be left out in silence, and of two the last would win."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import Request

from services.gateway import problems
from services.gateway.auth import SignedInCaller
from shared.errors import FieldError

MAX_NAME_CHARACTERS: Final = 100


async def only_known(request: Request, _caller: SignedInCaller) -> None:
    """The dependency of routers whose callers sign in; who is not signed in learns nothing about parameters. Raises ProblemError (422)."""
    _require([*_doubled(request), *_unknown(request)])


async def only_known_of_anyone(request: Request) -> None:
    """The same without a token."""
    _require([*_doubled(request), *_unknown(request)])


async def given_once(request: Request) -> None:
    """For links in mails, to which mail programs and link trackers add parameters of their own: those are ignored."""
    _require(list(_doubled(request)))


def _doubled(request: Request) -> Iterator[FieldError]:
    names = [name for name, _ in request.query_params.multi_items()]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield FieldError(field=name[:MAX_NAME_CHARACTERS], message="must be given once")


def _unknown(request: Request) -> Iterator[FieldError]:
    known = _known(request)
    for name in request.query_params:
        if name not in known:
            said = f"is no parameter here; known: {', '.join(sorted(known)) or 'none'}"
            yield FieldError(field=name[:MAX_NAME_CHARACTERS], message=said)


def _known(request: Request) -> set[str]:
    """What the OpenAPI document says of this route."""
    path: dict[str, Any] = request.app.openapi()["paths"].get(request.scope["route"].path, {})
    parameters = path.get(request.method.lower(), {}).get("parameters", ())
    return {each["name"] for each in parameters if each["in"] == "query"}


def _require(wrong: list[FieldError]) -> None:
    if wrong:
        raise problems.invalid_fields(wrong)
