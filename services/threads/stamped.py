"""Documents that say what somebody wished last: of two wishes the one with the newer stamp stands, whichever comes first."""

from collections.abc import Collection, Mapping
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.threads.entries import DUPLICATE_KEY
from shared.mongo import Document, own_of


async def write_newer(collection: AsyncCollection[Document], document_id: str, fields: Document, *, stamp: str) -> None:
    """Sets the fields unless a wish as new or newer stands. May run twice."""
    older = {"_id": document_id, "stamp": {"$lt": stamp}}
    change: dict[str, Any] = {"$set": {**fields, "stamp": stamp}}
    try:
        await collection.update_one(older, change, upsert=True)
    except DuplicateKeyError:
        # Something stands: a newer wish, or one that was made between this one's look and its insert, and may be older.
        await collection.update_one(older, change)


async def write_newer_many(
    collection: AsyncCollection[Document], documents: Mapping[str, Document], *, stamp: str, missing: Collection[str]
) -> None:
    """The same for many documents, in two statements at most: those that are missing, as was just seen, and the others. May run twice."""
    stamped = {document_id: {**fields, "stamp": stamp} for document_id, fields in documents.items()}
    new = [{"_id": document_id, **stamped[document_id]} for document_id in missing]
    there = [document_id for document_id in documents if document_id not in missing]
    if new:
        try:
            await collection.insert_many(new, ordered=False)
        except BulkWriteError as error:
            details = error.details
            if details["writeConcernErrors"] or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
                raise
            # Somebody else made them meanwhile; they may be older.
            there += [new[each["index"]]["_id"] for each in details["writeErrors"]]
    if there:
        values = {document_id: stamped[document_id] for document_id in there}
        older = {"_id": {"$in": there}, "stamp": {"$lt": stamp}}
        await collection.update_many(older, [{"$replaceWith": {"$mergeObjects": ["$$ROOT", own_of(values)]}}])
