"""Makes MongoDB a replica set with its users, at the first start; at later ones the passwords become what they are now.

Runs in the network of the first member (`network_mode: service:…`), because MongoDB lets nobody but localhost make the first user.
Who may do what is deploy.mongo_access: each service has a role of its own in its own database, and nothing else.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.mongo_access import DATABASES, OPERATOR, USER_EXISTS, make_services_users

LIMIT_S = 120.0
REPLICA_SET = "rs0"
UNAUTHORIZED = 13

Document = dict[str, Any]


def main() -> int:
    folder = Path(os.environ.get("SECRETS_ROOT", "/secrets"), "setup")
    passwords = {user: (folder / f"mongo_{user}").read_text() for user in (OPERATOR, *DATABASES)}
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
            _make_root(local, passwords[OPERATOR])
    with _as_root(hosts, passwords[OPERATOR]) as root:
        make_services_users(root, passwords)


def _local() -> MongoClient[Document]:
    return MongoClient("127.0.0.1", 27017, directConnection=True, serverSelectionTimeoutMS=2_000)


def _as_root(hosts: list[str], password: str) -> MongoClient[Document]:
    return MongoClient(
        hosts, replicaSet=REPLICA_SET, username=OPERATOR, password=password, serverSelectionTimeoutMS=10_000
    )


def _make_root(local: MongoClient[Document], password: str) -> None:
    """The first user can be made without one; once it is there, this is refused, and was done before."""
    try:
        local.admin.command("createUser", OPERATOR, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code not in (USER_EXISTS, UNAUTHORIZED):
            raise


if __name__ == "__main__":
    sys.exit(main())
