"""Who may do what in MongoDB: one user for each service, with a role of its own in its own database, and the operator's.

Compose, the cluster and the local stack all make their users from this. The gateway has none. On a MongoDB that is there already:
`MONGO_URL=… MONGO_THREADS_PASSWORD=… MONGO_NOTIFIER_PASSWORD=… python -m deploy.mongo_access`, with the operator's address.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

Document = dict[str, Any]

OPERATOR: Final = "root"
# Each service's user, role and database have the service's name.
DATABASES: Final = ("threads", "notifier")
USERS: Final = (OPERATOR, *DATABASES)

# Collections and indexes are made by the services at their start; none of them drops, renames or changes one.
WRITES: Final = ("find", "insert", "update")
MAKES: Final = ("createCollection", "createIndex", "listCollections", "listIndexes")
# In single collections, on top of that: an outcome that turned out to be provisional goes. Nobody deletes an entry or a mail.
DELETES: Final[Mapping[str, tuple[str, ...]]] = {"threads": ("outcomes",), "notifier": ()}

USER_EXISTS, ROLE_EXISTS = 51_003, 51_002


def privileges(database: str) -> list[Document]:
    """What the service of this database may do."""
    everywhere = {"resource": {"db": database, "collection": ""}, "actions": [*WRITES, *MAKES]}
    deletes = [
        {"resource": {"db": database, "collection": collection}, "actions": ["remove"]}
        for collection in DELETES[database]
    ]
    return [everywhere, *deletes]


def make_services_users(operator: MongoClient[Document], passwords: Mapping[str, str]) -> None:
    """The services' roles and users as they must be now, whatever they were. May run twice. Raises PyMongoError."""
    for database in DATABASES:
        role = {"privileges": privileges(database), "roles": []}
        _make_or_change(operator, database, "Role", ROLE_EXISTS, role)
        user = {"pwd": passwords[database], "roles": [{"role": database, "db": database}]}
        _make_or_change(operator, database, "User", USER_EXISTS, user)


def _make_or_change(client: MongoClient[Document], name: str, kind: str, exists: int, content: Document) -> None:
    """The role or user of this name in the database of this name."""
    try:
        client[name].command(f"create{kind}", name, **content)
    except OperationFailure as error:
        if error.code != exists:
            raise
        client[name].command(f"update{kind}", name, **content)


def with_user(url: str, user: str, password: str) -> str:
    """The address with credentials in it. The password must be one that may stand in an address as it is."""
    source = "admin" if user == OPERATOR else user
    return url.replace("mongodb://", f"mongodb://{user}:{password}@", 1) + f"&authSource={source}"


def main() -> None:
    try:
        passwords = {database: os.environ[f"MONGO_{database.upper()}_PASSWORD"] for database in DATABASES}
        with MongoClient[Document](os.environ["MONGO_URL"], serverSelectionTimeoutMS=10_000) as operator:
            make_services_users(operator, passwords)
    except KeyError as missing:
        sys.exit(f"mongo_access: {missing.args[0]} is missing")
    except PyMongoError as error:
        sys.exit(f"mongo_access: MongoDB refused: {error}")
    print(f"users and roles are as they must be: {', '.join(DATABASES)}")


if __name__ == "__main__":
    main()
