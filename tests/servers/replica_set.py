"""MongoDB as a replica set of three members, each behind a proxy of its own: for stepdowns, elections and bad networks.

Members know each other by their proxies' addresses, so what a proxy does to one of them holds for clients and members alike.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local import mongod_binary
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children, ServerProcess
from deploy.local.progress import Progress
from tests.servers.providers import TOOLS, short_lived_children
from tests.servers.proxy import Proxy, ProxyLoop
from tests.servers.waiting import eventually_now

REPLICA_SET: Final = "rs0"
MEMBERS: Final = 3
ELECTION_TIMEOUT_MS: Final = 2_000

Document = dict[str, Any]


class Member:
    """One mongod, and the proxy in front of it."""

    def __init__(self, directory: Path, *, binary: Path, children: Children, runner: ProxyLoop, number: int) -> None:
        self.directory, self.port = directory / f"mongo-{number}", free_port()
        self.proxy = Proxy(runner, self.port)
        self.process: ServerProcess = children.make(
            f"mongod-{number}", self._arguments(binary), environment={}, directory=Path("/")
        )

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.proxy.port}"

    def command(self, name: str, value: Any = 1, **more: Any) -> Document:
        """An administrator's command to this member itself. Raises PyMongoError."""
        client: MongoClient[Document] = MongoClient(
            LOOPBACK, self.port, directConnection=True, serverSelectionTimeoutMS=500, socketTimeoutMS=10_000
        )
        with client:
            return dict(client.admin.command(name, value, **more))

    @property
    def is_primary(self) -> bool:
        try:
            return bool(self.command("hello").get("isWritablePrimary"))
        except PyMongoError:
            return False

    @property
    def serves(self) -> bool:
        """Whether it is a primary or a secondary."""
        try:
            hello = self.command("hello")
        except PyMongoError:
            return False
        return bool(hello.get("isWritablePrimary") or hello.get("secondary"))

    def start(self) -> None:
        """Returns when it is part of the set again."""
        self.process.start()
        eventually_now(lambda: self.serves, timeout_s=60, what=f"{self.process.name}")

    def _arguments(self, binary: Path) -> list[str]:
        return [
            str(binary),
            *("--dbpath", str(self.directory)),
            *("--port", str(self.port)),
            *("--bind_ip", LOOPBACK),
            "--nounixsocket",
            *("--replSet", REPLICA_SET),
            *("--networkMessageCompressors", "disabled"),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--oplogSize", "100"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # failCommand, which makes this server refuse what it is told to refuse.
            *("--setParameter", "enableTestCommands=1"),
        ]


class ReplicaSet:
    """Three members. `url` names all of them; `primary()` is whoever takes writes now."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    @property
    def url(self) -> str:
        return f"mongodb://{','.join(member.address for member in self.members)}/?replicaSet={REPLICA_SET}"

    def find_primary(self) -> Member | None:
        return next((member for member in self.members if member.is_primary), None)

    def primary(self, *, timeout_s: float = 30) -> Member:
        """The primary, once there is one."""
        found = eventually_now(self.find_primary, timeout_s=timeout_s, what="a primary")
        assert found is not None  # eventually_now gives nothing else
        return found

    def secondary(self) -> Member:
        """One of the members that follow; which one is always the same for the same primary."""
        primary = self.primary()
        return next(member for member in self.members if member is not primary)

    # As tests.servers.control.Control has it, for all members at once.

    def start(self) -> None:
        for member in self.members:
            if not member.process.is_running:
                member.process.start()
        eventually_now(self._is_made, timeout_s=90, what="a replica set with a primary")
        eventually_now(lambda: all(member.serves for member in self.members), timeout_s=60, what="three members")

    def stop(self) -> None:
        for member in self.members:
            member.process.stop(timeout_s=30)

    def kill(self) -> None:
        for member in self.members:
            member.process.resume()
            member.process.kill()

    def pause(self) -> None:
        for member in self.members:
            member.process.pause()

    def resume(self) -> None:
        for member in self.members:
            member.process.resume()

    def _is_made(self) -> bool:
        try:
            self.members[0].command("replSetInitiate", self._config())
        except OperationFailure as error:
            if error.code != 23:  # AlreadyInitialized
                return False
        except PyMongoError:
            return False
        return self.find_primary() is not None

    def _config(self) -> Document:
        members = [{"_id": number, "host": member.address} for number, member in enumerate(self.members)]
        settings = {"electionTimeoutMillis": ELECTION_TIMEOUT_MS, "heartbeatIntervalMillis": 500}
        return {"_id": REPLICA_SET, "members": members, "settings": settings}


@contextmanager
def replica_set(directory: Path, runner: ProxyLoop) -> Iterator[ReplicaSet]:
    """Three members of our own, killed in the end. Raises StackError where there is no mongod."""
    binary, children = mongod_binary.find(TOOLS, Progress()), short_lived_children(directory)
    members = [
        Member(directory, binary=binary, children=children, runner=runner, number=number) for number in range(MEMBERS)
    ]
    servers = ReplicaSet(members)
    for member in members:
        member.directory.mkdir(parents=True, exist_ok=True)
        member.proxy.start()
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()
        for member in members:
            member.proxy.close()
            shutil.rmtree(member.directory, ignore_errors=True)
