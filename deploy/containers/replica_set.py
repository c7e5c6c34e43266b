"""Makes MongoDB a replica set with its users, at the first start; at later ones the passwords become what they are now.

Runs in the network of the first member (`network_mode: service:…`), because MongoDB lets nobody but localhost make the first user.
Each service's user may read and write its own database and nothing else.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

LIMIT_S = 120.0
REPLICA_SET = "rs0"
USER_EXISTS, UNAUTHORIZED = 51_003, 13
DATABASES = ("threads", "notifier")

Document = dict[str, Any]


def main() -> int:
    folder = Path(os.environ.get("SECRETS_ROOT", "/secrets"), "setup")
    passwords = {user: (folder / f"mongo_{user}").read_text() for user in ("root", *DATABASES)}
    hosts = os.environ.get("MONGO_HOSTS", "mongo:27017").split(",")
    deadline = time.monotonic() + LIMIT_S
    while True:
        try:
            set_up(hosts, passwords)
            return 0
        except PyMongoError as error:
            if time.monotonic() > deadline:
                print(f"MongoDB is not as it must be: {error}", file=sys.stderr)
                return 1
            time.sleep(0.5)


def set_up(hosts: list[str], passwords: dict[str, str]) -> None:
    """May run any number of times, and go on where it stopped. Raises PyMongoError while a member is not there yet."""
    with _local() as local:
        if "setName" not in local.admin.command("hello"):
            members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
            local.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        found = local.admin.command("hello")
        if not found.get("primary"):
            raise PyMongoError("there is no primary yet")
        if found.get("isWritablePrimary"):
            _make_root(local, passwords["root"])
    with _as_root(hosts, passwords["root"]) as root:
        for database in DATABASES:
            _make_user(root, database, passwords[database])


def _local() -> MongoClient[Document]:
    return MongoClient("127.0.0.1", 27017, directConnection=True, serverSelectionTimeoutMS=2_000)


def _as_root(hosts: list[str], password: str) -> MongoClient[Document]:
    return MongoClient(
        hosts, replicaSet=REPLICA_SET, username="root", password=password, serverSelectionTimeoutMS=10_000
    )


def _make_root(local: MongoClient[Document], password: str) -> None:
    """The first user can be made without one; once it is there, this is refused, and was done before."""
    try:
        local.admin.command("createUser", "root", pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code not in (USER_EXISTS, UNAUTHORIZED):
            raise


def _make_user(root: MongoClient[Document], database: str, password: str) -> None:
    roles = [{"role": "readWrite", "db": database}]
    try:
        root[database].command("createUser", database, pwd=password, roles=roles)
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
        root[database].command("updateUser", database, pwd=password, roles=roles)


if __name__ == "__main__":
    sys.exit(main())
