"""A private MongoDB: one mongod on the loopback interface, as a replica set of one member."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from deploy.local.processes import Children
from deploy.local.progress import EndRequest, wait_until
from deploy.mongo_access import OPERATOR, make_services_users

REPLICA_SET = "rs0"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
UNAUTHORIZED, AUTHENTICATION_FAILED, ALREADY_INITIALIZED = 13, 18, 23

Document = dict[str, Any]


@dataclass(frozen=True)
class Access:
    """Who may sign in: the passwords of deploy.mongo_access's users, and the file with the replica set's key."""

    key_file: Path
    passwords: Mapping[str, str]


class MongoServer:
    """One mongod whose data and port are its own; transactions and majority reads work as on a larger replica set.

    With `access` nobody may do anything without signing in, and its users are as they must be at every start.
    """

    def __init__(
        self, directory: Path, *, port: int, binary: Path, children: Children, access: Access | None = None
    ) -> None:
        self.port = port
        self._access = access
        self._directory = directory.resolve()
        self.process = children.make("mongod", self._arguments(binary), environment={}, directory=Path("/"))

    @property
    def url(self) -> str:
        """Without credentials."""
        return f"mongodb://{LOOPBACK}:{self.port}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Starts mongod and returns at once: `wait_ready` waits."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.process.start()

    def wait_ready(self, *, end: EndRequest | None = None, timeout_s: float = START_TIMEOUT_S) -> None:
        """Returns when writes are taken; makes the replica set where there is none yet."""
        wait_for_primary(
            self.port, timeout_s=timeout_s, alive=self.process.require_running, end=end, access=self._access
        )

    def stop(self) -> None:
        self.process.stop(timeout_s=STOP_TIMEOUT_S)

    def kill(self) -> None:
        """As a power cut would: what was written with `j: true` is there after the next start."""
        self.process.kill()

    def _arguments(self, binary: Path) -> list[str]:
        """Compressors stay off because mongod 6.0.5 has CVE-2025-14847; nothing but loopback reaches it either way."""
        return [
            str(binary),
            *("--dbpath", str(self._directory)),
            *("--port", str(self.port)),
            *("--bind_ip", LOOPBACK),
            "--nounixsocket",
            *("--replSet", REPLICA_SET),
            *("--networkMessageCompressors", "disabled"),
            *("--wiredTigerCacheSizeGB", "0.5"),
            *("--oplogSize", "256"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *(("--keyFile", str(self._access.key_file.resolve())) if self._access else ()),
        ]


def wait_for_primary(
    port: int,
    *,
    timeout_s: float,
    alive: Callable[[], None] = lambda: None,
    end: EndRequest | None = None,
    access: Access | None = None,
) -> None:
    """Returns when the mongod on this loopback port takes writes; makes it a replica set of its own where it is none.

    Raises StackError where its users have other passwords than those of `access`.
    """
    with _client(port) as client:
        wait_until(lambda: _is_primary(client, port, access), what="MongoDB", timeout_s=timeout_s, alive=alive, end=end)


def _client(port: int, access: Access | None = None) -> MongoClient[Document]:
    """Not signed in, or with `access` as the operator."""
    options: Document = {"username": OPERATOR, "password": access.passwords[OPERATOR]} if access else {}
    return MongoClient(LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=500, **options)


def _is_primary(client: MongoClient[Document], port: int, access: Access | None) -> bool:
    try:
        said = client.admin.command("hello")
        if said.get("isWritablePrimary"):
            if access is not None:
                _make_users(client, port, access)
            return True
        if "setName" not in said:
            _make_replica_set(client, port, access)
    except PyMongoError:
        pass
    return False


def _make_replica_set(client: MongoClient[Document], port: int, access: Access | None) -> None:
    """Makes it at the first start, and moves it where the data of an earlier start had another port."""
    member = f"{LOOPBACK}:{port}"
    try:
        members = [{"_id": 0, "host": member}]
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
    except OperationFailure as error:
        if error.code not in (ALREADY_INITIALIZED, UNAUTHORIZED):
            raise
        with _client(port, access) as operator:
            _move(operator, member)


def _move(client: MongoClient[Document], member: str) -> None:
    config = client.admin.command("replSetGetConfig")["config"]
    if config["members"][0]["host"] != member:
        config["members"][0]["host"] = member
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)


def _make_users(client: MongoClient[Document], port: int, access: Access) -> None:
    """The first user may be made without one, from this machine; once it is there, that is refused."""
    try:
        client.admin.command("createUser", OPERATOR, pwd=access.passwords[OPERATOR], roles=["root"])
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
    try:
        with _client(port, access) as operator:
            make_services_users(operator, access.passwords)
    except OperationFailure as error:
        if error.code != AUTHENTICATION_FAILED:
            raise
        raise StackError(
            f"MongoDB's data were made with other passwords than those beside {access.key_file}; "
            "put the old ones back, or start anew with  make clean"
        ) from None
