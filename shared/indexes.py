"""A service's indexes: made at start, and what is missing can be asked for."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import IndexModel

from shared.mongo import Database

Indexes = Mapping[str, Sequence[IndexModel]]
"""By collection."""


async def ensure(database: Database, indexes: Indexes) -> None:
    """Makes what is missing; may run twice, and in several processes at once.

    Raises OperationFailure where an index of that name stands with other keys or options: an operator must drop it first.
    """
    for collection, models in indexes.items():
        await database[collection].create_indexes(list(models))


async def missing(database: Database, indexes: Indexes) -> list[str]:
    """Which indexes are not there as they must be, as `collection.name`; empty when all are."""
    wrong: list[str] = []
    for collection, models in indexes.items():
        there = await database[collection].index_information()
        wrong += [f"{collection}.{name}" for name, wanted in _described(models) if not _is(there.get(name), wanted)]
    return wrong


def _described(models: Sequence[IndexModel]) -> list[tuple[str, Mapping[str, Any]]]:
    return [(str(model.document["name"]), model.document) for model in models]


def _is(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether the index that stands has the keys and options that are wanted."""
    if found is None or [(name, int(order)) for name, order in found["key"]] != list(wanted["key"].items()):
        return False
    options = ("unique", "partialFilterExpression", "expireAfterSeconds")
    return all(found.get(option) == wanted.get(option) for option in options)
