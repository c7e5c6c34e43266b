"""The indexes of the notifier's database. The two unique ones carry the promises, so nothing may be taken before they stand."""

from typing import Final

from pymongo import ASCENDING, IndexModel

from shared import indexes
from shared.indexes import Indexes
from shared.mongo import Database

INDEXES: Final[Indexes] = {
    "mails": [
        IndexModel([("taken", ASCENDING)], name="taken_once", unique=True),
        IndexModel(
            [("order_id", ASCENDING), ("person", ASCENDING)],
            name="one_open",
            unique=True,
            partialFilterExpression={"state": "open"},
        ),
        IndexModel([("state", ASCENDING), ("wake_at", ASCENDING)], name="due", partialFilterExpression={"alive": True}),
        IndexModel([("order_id", ASCENDING), ("created_at", ASCENDING)], name="of_order"),
        IndexModel(
            [("person", ASCENDING), ("counted_at", ASCENDING)],
            name="sent_to",
            partialFilterExpression={"counted_at": {"$exists": True}},
        ),
    ]
}


async def ensure(database: Database) -> None:
    """As shared.indexes.ensure."""
    await indexes.ensure(database, INDEXES)
