"""Who may do what in MongoDB: every database, every verb, tried with each service's own credentials."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from deploy.mongo_access import DATABASES
from tests.security.conftest import GuardedMongo

UNAUTHORIZED = 13
Document = dict[str, Any]
Collection = AsyncCollection[Document]
Verb = Callable[[Collection], Awaitable[object]]

VERBS: dict[str, Verb] = {
    "find": lambda it: it.find_one({"_id": "none"}),
    "insert": lambda it: it.insert_one({}),
    "update": lambda it: it.update_one({"_id": "none"}, {"$set": {"a": 1}}, upsert=True),
    "create an index": lambda it: it.create_index("a_test"),
    "list collections": lambda it: it.database.list_collection_names(),
    "remove": lambda it: it.delete_one({"_id": "none"}),
    "drop": lambda it: it.drop(),
    "drop an index": lambda it: it.drop_indexes(),
    "rename": lambda it: it.rename("elsewhere"),
    "change options": lambda it: it.database.command("collMod", it.name, validator={}),
    "write elsewhere": lambda it: it.aggregate([{"$out": {"db": "elsewhere", "coll": "copy"}}]),
    "drop the database": lambda it: it.database.client.drop_database(it.database),
    "make a user": lambda it: it.database.command("createUser", "mallory", pwd="mallory", roles=[]),
    "give itself a role": lambda it: it.database.command("grantRolesToUser", it.database.name, roles=["dbOwner"]),
    "see users": lambda it: it.database.command("usersInfo"),
    "profile": lambda it: it.database.command("profile", 2),
}
WORK = {"find", "insert", "update", "create an index", "list collections"}
# What the services keep, as test_own_credentials.py finds it after they have worked.
THREADS_KEEPS = (
    "entries",
    "intake",
    "mailboxes",
    "mark_runs",
    "orders",
    "outcomes",
    "preferences",
    "reads",
    "schema",
    "threads",
    "watches",
)
NOTIFIER_KEEPS = ("addresses", "choices", "mails", "reads", "redactions", "schema")

# service × collection: what it may do there. Everything else is refused, and so is everything in collections of other databases.
MAY: dict[tuple[str, str, str], set[str]] = {
    **{("threads", "threads", name): WORK for name in THREADS_KEEPS},
    ("threads", "threads", "outcomes"): WORK | {"remove"},
    **{("notifier", "notifier", name): WORK for name in NOTIFIER_KEEPS},
    **{("threads", "notifier", name): set() for name in (*NOTIFIER_KEEPS, "outcomes", "anything")},
    **{("notifier", "threads", name): set() for name in (*THREADS_KEEPS, "anything")},
    **{(service, "admin", "system.users"): set() for service in DATABASES},
    **{(service, "local", "oplog.rs"): set() for service in DATABASES},
    **{(service, "config", "transactions"): set() for service in DATABASES},
    **{(service, "elsewhere", "anything"): set() for service in DATABASES},
}


async def _is_let(verb: Verb, collection: Collection) -> bool:
    """Whether MongoDB lets the user; other refusals (no such collection) come after the one that counts."""
    try:
        await verb(collection)
    except OperationFailure as error:
        return error.code != UNAUTHORIZED
    return True


@pytest.mark.parametrize(("service", "database", "collection"), MAY, ids="-".join)
async def test_a_service_does_its_work_in_its_own_database_and_nothing_else(
    guarded_mongo: GuardedMongo, service: str, database: str, collection: str
) -> None:
    async with AsyncMongoClient[Document](guarded_mongo.url_of(service)) as client:
        where = client[database][collection]
        actual = {name for name, verb in VERBS.items() if await _is_let(verb, where)}
    # Anybody may ask for a list of collections, and is shown those that they may read.
    assert actual - {"list collections"} == MAY[service, database, collection] - {"list collections"}


@pytest.mark.parametrize("command", ["listDatabases", "serverStatus", "replSetGetConfig", "shutdown", "getParameter"])
@pytest.mark.parametrize("service", DATABASES)
async def test_a_service_runs_no_command_of_the_operators(
    guarded_mongo: GuardedMongo, service: str, command: str
) -> None:
    async with AsyncMongoClient[Document](guarded_mongo.url_of(service)) as client:
        if command == "listDatabases":
            assert set(await client.list_database_names()) <= {service}
            return
        with pytest.raises(OperationFailure, match="not authorized"):
            await client.admin.command({command: 1, **({"logLevel": 1} if command == "getParameter" else {})})


@pytest.mark.parametrize("verb", VERBS)
async def test_without_signing_in_nobody_does_anything(guarded_mongo: GuardedMongo, verb: str) -> None:
    async with AsyncMongoClient[Document](guarded_mongo.url) as client:
        assert not await _is_let(VERBS[verb], client["threads"]["entries"])
