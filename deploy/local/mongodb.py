"""A private MongoDB: one mongod on the loopback interface, as a replica set of one member."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.ports import LOOPBACK
from deploy.local.processes import Children
from deploy.local.progress import EndRequest, wait_until

REPLICA_SET = "rs0"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
NOT_YET_INITIALIZED = 94

Document = dict[str, Any]


class MongoServer:
    """One mongod whose data and port are its own; transactions and majority reads work as on a larger replica set."""

    def __init__(self, directory: Path, *, port: int, binary: Path, children: Children) -> None:
        self.port = port
        self._directory = directory.resolve()
        self.process = children.make("mongod", self._arguments(binary), environment={}, directory=Path("/"))

    @property
    def url(self) -> str:
        return f"mongodb://{LOOPBACK}:{self.port}/?replicaSet={REPLICA_SET}"

    def start(self) -> None:
        """Starts mongod and returns at once: `wait_ready` waits."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.process.start()

    def wait_ready(self, *, end: EndRequest | None = None, timeout_s: float = START_TIMEOUT_S) -> None:
        """Returns when writes are taken; makes the replica set where there is none yet."""
        wait_for_primary(self.port, timeout_s=timeout_s, alive=self.process.require_running, end=end)

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
        ]


def wait_for_primary(
    port: int, *, timeout_s: float, alive: Callable[[], None] = lambda: None, end: EndRequest | None = None
) -> None:
    """Returns when the mongod on this loopback port takes writes; makes it a replica set of its own where it is none."""
    client: MongoClient[Document] = MongoClient(LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=500)
    with client:
        wait_until(lambda: _is_primary(client, port), what="MongoDB", timeout_s=timeout_s, alive=alive, end=end)


def _is_primary(client: MongoClient[Document], port: int) -> bool:
    try:
        if client.admin.command("hello").get("isWritablePrimary"):
            return True
        _make_replica_set(client, f"{LOOPBACK}:{port}")
    except PyMongoError:
        pass
    return False


def _make_replica_set(client: MongoClient[Document], member: str) -> None:
    """Makes it at the first start, and moves it where the data of an earlier start had another port."""
    try:
        config = client.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        members = [{"_id": 0, "host": member}]
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        return
    if config["members"][0]["host"] != member:
        config["members"][0]["host"] = member
        config["version"] += 1
        client.admin.command("replSetReconfig", config, force=True)
