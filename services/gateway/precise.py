"""What the OpenAPI document says beyond FastAPI's findings: JSON Schema's words for rules that are checked in Python, and links."""

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.requests import ONE_LINE
from shared.fields import ADDRESS_SCHEMA

OF_FIELDS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    (party, name): words
    for party in ("Customer", "Seller")
    for name, words in {"id": ONE_LINE, "name": ONE_LINE, "email": ADDRESS_SCHEMA}.items()
}

_OF_ORDER: Final = {"order_id": "$request.path.order_id"}
# By operation and status: the operations that can follow, and where their parameters come from.
LINKS: Final[Mapping[tuple[str, str], Mapping[str, Mapping[str, str]]]] = {
    ("putOrder", "200"): {"getOrder": _OF_ORDER, "postMessage": _OF_ORDER, "openDispute": _OF_ORDER},
    ("postMessage", "201"): {
        "listMessages": _OF_ORDER,
        "markRead": _OF_ORDER,
        "redactMessage": _OF_ORDER | {"message_id": "$response.body#/id"},
        "getCommand": {"command_id": "$response.body#/id"},
    },
    ("openDispute", "201"): {"getDispute": _OF_ORDER, "closeDispute": _OF_ORDER},
    ("openDispute", "200"): {"closeDispute": _OF_ORDER},
}


def complete(document: dict[str, Any]) -> None:
    """Adds both to the document, in place."""
    schemas = document["components"]["schemas"]
    for (model, name), words in OF_FIELDS.items():
        field = schemas[model]["properties"][name]
        field.get("anyOf", [field])[0].update(words)
    for path in document["paths"].values():
        for operation in path.values():
            _link(operation)


def _link(operation: dict[str, Any]) -> None:
    for status, answer in operation["responses"].items():
        following = LINKS.get((operation["operationId"], status), {})
        for name, parameters in following.items():
            answer.setdefault("links", {})[name] = {"operationId": name, "parameters": dict(parameters)}
