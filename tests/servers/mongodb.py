"""MongoDB for tests: one replica set for the session, and databases of a test's own."""

import uuid

from pymongo import MongoClient

from tests.servers.control import Control


class SharedMongo:
    """The session's MongoDB. What a test did to it (`stop`, `kill`, `pause`) is undone by `bring_back`."""

    def __init__(self, url: str, control: Control) -> None:
        self.url = url
        self._control = control
        self._undo: list[str] = []

    def start(self) -> None:
        """Returns when writes are taken."""
        self._control.start()
        self._undo = [step for step in self._undo if step != "start"]

    def stop(self) -> None:
        self._control.stop()
        self._undo.append("start")

    def kill(self) -> None:
        """As a power cut would: what was written with `j: true` is there after the next start."""
        self._control.kill()
        self._undo.append("start")

    def pause(self) -> None:
        """Connections stay open and nothing answers any more."""
        self._control.pause()
        self._undo.append("resume")

    def resume(self) -> None:
        self._control.resume()
        self._undo = [step for step in self._undo if step != "resume"]

    def bring_back(self) -> None:
        """Undoes what a test left undone. Harmless where it left nothing."""
        if "resume" in self._undo:
            self.resume()
        if "start" in self._undo:
            self.start()


class FreshDatabases:
    """Names of databases that nobody else has; what was made under them is dropped at the end of the test."""

    def __init__(self, server: SharedMongo) -> None:
        self._server = server
        self._names: list[str] = []

    def __call__(self, label: str = "test") -> str:
        """A new name, such as `threads_1f0c9a6e2b7d`."""
        name = f"{label}_{uuid.uuid4().hex[:12]}"
        self._names.append(name)
        return name

    def drop(self) -> None:
        if not self._names:
            return
        client: MongoClient[dict[str, object]] = MongoClient(self._server.url, serverSelectionTimeoutMS=10_000)
        with client:
            for name in self._names:
                client.drop_database(name)
