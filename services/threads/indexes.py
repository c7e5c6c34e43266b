"""The indexes of threads' database: made at start, and what is missing can be asked for."""

from typing import Any, Final

from pymongo import ASCENDING, DESCENDING, IndexModel

from shared import indexes
from shared.indexes import Indexes
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


INDEXES: Final[Indexes] = {
    "entries": [
        IndexModel([("order_id", ASCENDING), ("seq", ASCENDING)], name="one_writer_wins", unique=True),
        IndexModel(
            [("unfinished", ASCENDING), ("committed_at", ASCENDING)],
            name="unfinished",
            partialFilterExpression={"unfinished": True},
        ),
    ],
    "outcomes": [IndexModel([("at", ASCENDING)], name="kept_for_90_days", expireAfterSeconds=OUTCOME_LIFE_S)],
    "intake": [IndexModel([("at", ASCENDING)], name="kept_for_90_days", expireAfterSeconds=OUTCOME_LIFE_S)],
    "threads": [
        IndexModel(LISTS_PLACED, name="lists_placed"),
        IndexModel(TALKS_NEWEST, name="talks_newest", partialFilterExpression=_where_present("talks")),
        IndexModel(TALKS_WAITING, name="talks_waiting", partialFilterExpression=_where_present("waiting")),
        IndexModel(TALKS_DISPUTED, name="talks_disputed", partialFilterExpression=_where_present("disputed")),
    ],
    "watches": [IndexModel([("order_id", ASCENDING)], name="watches_of_an_order")],
}


async def ensure(database: Database) -> None:
    """As shared.indexes.ensure."""
    await indexes.ensure(database, INDEXES)


async def missing(database: Database) -> list[str]:
    """As shared.indexes.missing."""
    return await indexes.missing(database, INDEXES)
