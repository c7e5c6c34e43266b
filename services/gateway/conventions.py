"""What generators and linters expect of an OpenAPI document beyond the operations themselves: in place, on the finished document."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

CONTACT: Final = {"name": "The maintainers of Parley"}
# The document is served by the gateway that it describes, so an address that is relative leads there.
SERVERS: Final = [{"url": "/", "description": "The gateway that serves this document"}]
TAGS: Final[Mapping[str, str]] = {
    "orders": "Orders and their threads, and snapshots from the shop's services",
    "threads": "Messages about an order",
    "disputes": "One dispute at a time about an order",
    "marks": "What is read, and who watches",
    "persons": "The caller: badges and choices of mails",
    "commands": "What became of a write",
    "live": "What happens, as it happens",
    "links": "What links in mails lead to",
    "operations": "How the process is",
}
_REFUSED: Final = {
    "description": "No request that can be understood",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def complete(document: dict[str, Any]) -> None:
    """Adds servers, contact and tags; says of every operation whether it wants a token; and leaves optional fields optional."""
    document["info"]["contact"] = CONTACT
    document["servers"] = SERVERS
    used = set()
    for path in document["paths"].values():
        for operation in path.values():
            operation.setdefault("security", [])
            operation.setdefault("description", f"{operation['summary'].rstrip('.')}.")
            if not any(status.startswith("4") for status in operation["responses"]):
                operation["responses"]["4XX"] = _REFUSED
            used.update(operation["tags"])
    document["tags"] = [{"name": name, "description": TAGS[name]} for name in TAGS if name in used]
    leave_optional(document["components"]["schemas"], _bodies(document))


def leave_optional(schemas: dict[str, Any], written: Iterator[Any]) -> None:
    """Of what callers write, a field with a default becomes one that may be left out.

    Generators of types take a `default` as a promise that the field is there, and would have callers fill it in; the default stands in the
    field's description instead.
    """
    for name in _reachable(schemas, written):
        model = schemas[name]
        for field, schema in model.get("properties", {}).items():
            if "default" in schema and field not in model.get("required", ()):
                default = schema.pop("default")
                if default is not None:
                    said = schema.get("description", "").rstrip(".")
                    schema["description"] = f"{said}{'. ' if said else ''}Default: `{json.dumps(default)}`"


def _bodies(document: dict[str, Any]) -> Iterator[Any]:
    for path in document["paths"].values():
        for operation in path.values():
            yield operation.get("requestBody")


def _reachable(schemas: Mapping[str, Any], written: Iterator[Any]) -> set[str]:
    """The names of the schemas that these parts of a document lead to."""
    found: set[str] = set()
    waiting: list[Any] = list(written)
    while waiting:
        match waiting.pop():
            case {"$ref": str(ref)} if (name := ref.rpartition("/")[2]) in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            case dict() as part:
                waiting.extend(part.values())
            case list() as parts:
                waiting.extend(parts)
            case _:
                continue
    return found
