"""Documents that say what somebody wished last: of two wishes the one with the newer stamp stands, whichever comes first."""

from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.mongo import Document


async def write_newer(collection: AsyncCollection[Document], document_id: str, fields: Document, *, stamp: str) -> None:
    """Sets the fields unless a wish as new or newer stands. May run twice."""
    older = {"_id": document_id, "stamp": {"$lt": stamp}}
    change: dict[str, Any] = {"$set": {**fields, "stamp": stamp}}
    try:
        await collection.update_one(older, change, upsert=True)
    except DuplicateKeyError:
        # Something stands: a newer wish, or one that was made between this one's look and its insert, and may be older.
        await collection.update_one(older, change)
