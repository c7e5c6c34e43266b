"""MongoDB as the services use it: writes acknowledged by a majority with their journal, reads of what a majority has, limits on every wait."""

from collections.abc import Mapping
from typing import Any, Final

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient, ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

WRITE_LIMIT_MS: Final = 5_000
SERVER_SELECTION_MS: Final = 3_000
SOCKET_LIMIT_MS: Final = 15_000
# After an error that says "not the primary" the driver waits for the server's next word: that comes this often, or at once where
# something changes. Ten seconds, the driver's own, would be ten of waiting where nothing does.
HEARTBEAT_MS: Final = 2_000

Document = dict[str, Any]
Database = AsyncDatabase[Document]

# The server is not there, or cannot say whether a write holds: nobody's fault, and nothing may be concluded from it.
MONGO_AWAY: Final[tuple[type[PyMongoError], ...]] = (
    AutoReconnect,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

# Server error codes that mean the same: shutting down, stepping down, no primary, interrupted, locks or time or memory or disk used up.
_AWAY_CODES: Final = frozenset(
    {6, 7, 24, 50, 64, 89, 91, 112, 133, 134, 146, 189, 202, 262, 317, 358}
    | {9001, 10058, 10107, 11600, 11601, 11602, 13435, 13436, 14031}
)


def is_away(error: Exception) -> bool:
    """Whether this error is the server's absence rather than ours; to be waited out."""
    if isinstance(error, BulkWriteError):
        # Of several writes some may have failed for a reason of their own: they are decided anew with the others.
        codes = {each["code"] for each in error.details["writeErrors"]}
        return bool(error.details["writeConcernErrors"]) or not codes.isdisjoint(_AWAY_CODES)
    return isinstance(error, MONGO_AWAY) or (isinstance(error, OperationFailure) and error.code in _AWAY_CODES)


def require_storable(*documents: Mapping[str, Any]) -> None:
    """Raises what the driver would raise at the write (a date or number out of range, a document that is none), before anything is written."""
    for document in documents:
        bson.encode(document)


def leniently(collection: AsyncCollection[Document]) -> AsyncCollection[Document]:
    """The collection for a tool that reads all of it: a date that no `datetime` can hold is a `DatetimeMS` there, and stops nothing."""
    options: CodecOptions[Document] = CodecOptions(tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
    return collection.with_options(codec_options=options)


def connect(url: str, *, name: str) -> AsyncMongoClient[Document]:
    """A client for this event loop. Connects when first used; `name` is what operators see in the server's list of connections."""
    return AsyncMongoClient(
        url,
        appname=f"parley-{name}",
        tz_aware=True,
        uuidRepresentation="standard",
        serverSelectionTimeoutMS=SERVER_SELECTION_MS,
        connectTimeoutMS=SERVER_SELECTION_MS,
        socketTimeoutMS=SOCKET_LIMIT_MS,
        heartbeatFrequencyMS=HEARTBEAT_MS,
        retryWrites=True,
        maxPoolSize=50,
    )


def own_of(values: Mapping[str, object]) -> Document:
    """An expression in an update of many documents: each one's own of these values, by its `_id`. The statement is parsed once for all."""
    return {
        "$arrayElemAt": [{"$literal": list(values.values())}, {"$indexOfArray": [{"$literal": list(values)}, "$_id"]}]
    }


def database(client: AsyncMongoClient[Document], name: str) -> Database:
    """The database with the concerns that the log stands on: w majority, j true, read concern majority, primary."""
    return client.get_database(
        name,
        write_concern=WriteConcern(w="majority", j=True, wtimeout=WRITE_LIMIT_MS),
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )
