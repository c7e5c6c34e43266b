"""The indexes of threads' database: made at start, and what is missing can be asked for."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from shared.mongo import Database

OUTCOME_LIFE_S: Final = 90 * 24 * 3600

Keys = list[tuple[str, int]]

# What the lists walk: one compound index a sort order, with the inbox and filter in front (see lists.py, which hints them).
LISTS_PLACED: Final[Keys] = [("lists", ASCENDING), ("placed", DESCENDING)]
TALKS_NEWEST: Final[Keys] = [("talks", ASCENDING), ("newest", DESCENDING)]
TALKS_WAITING: Final[Keys] = [("talks", ASCENDING), ("waiting", ASCENDING)]
TALKS_DISPUTED: Final[Keys] = [("talks", ASCENDING), ("disputed", ASCENDING)]


def _where_present(field: str) -> dict[str, Any]:
    return {field: {"$exists": True}}


INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    "entries": [
        IndexModel([("order_id", ASCENDING), ("seq", ASCENDING)], name="one_writer_wins", unique=True),
        IndexModel(
            [("unfinished", ASCENDING), ("committed_at", ASCENDING)],
            name="unfinished",
            partialFilterExpression={"unfinished": True},
        ),
    ],
    "outcomes": [IndexModel([("at", ASCENDING)], name="kept_for_90_days", expireAfterSeconds=OUTCOME_LIFE_S)],
    "threads": [
        IndexModel(LISTS_PLACED, name="lists_placed"),
        IndexModel(TALKS_NEWEST, name="talks_newest", partialFilterExpression=_where_present("talks")),
        IndexModel(TALKS_WAITING, name="talks_waiting", partialFilterExpression=_where_present("waiting")),
        IndexModel(TALKS_DISPUTED, name="talks_disputed", partialFilterExpression=_where_present("disputed")),
    ],
    "watches": [IndexModel([("order_id", ASCENDING)], name="watches_of_an_order")],
}


async def ensure(database: Database) -> None:
    """Makes what is missing; may run twice, and in several processes at once.

    Raises OperationFailure where an index of that name stands with other keys or options: an operator must drop it first.
    """
    for collection, models in INDEXES.items():
        await database[collection].create_indexes(list(models))


async def missing(database: Database) -> list[str]:
    """Which indexes are not there as they must be, as `collection.name`; empty when all are."""
    wrong: list[str] = []
    for collection, models in INDEXES.items():
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
