"""The OpenAPI document: what FastAPI finds in the routes, with the schemas of bodies and problems."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway import conventions, precise, requests, results
from services.gateway.live import audience
from shared.commands import CommandOutcome
from shared.errors import Problem
from shared.orders import OrderSnapshot

TITLE: Final = "Parley"
VERSION: Final = "1"
LICENSE: Final = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
DESCRIPTION: Final = """Order messaging: every order has a thread between its customer and its seller.

Sign in with a bearer token of the shop's. A write is accepted once RabbitMQ has confirmed it; then the answer waits a moment
(`Prefer: wait=n`) for the outcome and is `201`/`200` or the problem, else `202` with the address to ask at. Send an
`Idempotency-Key` with every write: the same one again is the same write. Errors are problem documents (RFC 9457).
Lists answer `items` and `next`: follow `next` as it is until it is null.
"""

# Named by `openapi_extra` or in prose, so FastAPI does not see them.
MODELS: Final[tuple[type[BaseModel], ...]] = (
    Problem,
    CommandOutcome,
    OrderSnapshot,
    requests.NewMessage,
    requests.NewDispute,
    requests.DisputeClosing,
    requests.ReadMark,
    requests.ReadMarks,
    requests.ChosenOrderPreferences,
    requests.ChosenPreferences,
    requests.Redaction,
    requests.ImportedMessage,
    requests.GuestLink,
    results.ThreadNotMarked,
    results.OrderTaken,
    audience.LiveEntry,
    audience.LiveRead,
    audience.LiveSeen,
    audience.LiveRedaction,
)


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    found = get_openapi(
        title=TITLE,
        version=VERSION,
        openapi_version="3.1.0",
        description=DESCRIPTION,
        routes=app.routes,
        license_info=LICENSE,
    )
    schemas: dict[str, Any] = found.setdefault("components", {}).setdefault("schemas", {})
    _, definitions = models_json_schema(
        [(model, "validation") for model in MODELS], ref_template="#/components/schemas/{model}"
    )
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    found["components"]["schemas"] = dict(sorted(schemas.items()))
    for path in found["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _without_null(parameter["schema"])
    precise.complete(found)
    conventions.complete(found)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that may be left out is not null in an address or a header; there is no null in them."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    only: dict[str, Any] = choices[0]
    return only | {name: value for name, value in schema.items() if name != "anyOf"}


def use_in(app: FastAPI) -> None:
    """Makes this the document that the application serves."""

    def once() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = once  # type: ignore[method-assign]  # as FastAPI's documentation says to extend it
