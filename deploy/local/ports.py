"""Ports on the loopback interface: free ones, and whether a given one is free."""

import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from deploy.local.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range that Linux takes outgoing connections from (32768 and up): a client that keeps trying to reach a stopped
# server on such a port could otherwise be given that very port and connect to itself.
FREE_PORTS: Sequence[int] = range(20_000, 32_000)
RESERVED_S: Final = 60.0


def is_free(port: int) -> bool:
    """Whether a server could listen there now, as servers do: with SO_REUSEADDR, past connections in TIME_WAIT."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that is free now, and given to nobody else on this machine while this process lives, nor within a minute.

    So a server that is stopped for a while finds its port free when it starts again.
    """
    for port in random.sample(FREE_PORTS, k=200):
        if is_free(port) and _RESERVATIONS.take(port):
            return port
    raise StackError(f"no free port between {min(FREE_PORTS)} and {max(FREE_PORTS)} on {LOOPBACK}")


class _Reservations:
    """Ports given out, on the whole machine: a lock on one byte of a common file for each, which Linux lifts when its process ends.

    A process that only asks for somebody else (a shell script) has ended by then, hence the minute, in one small file a port.
    """

    def __init__(self) -> None:
        self._mine: set[int] = set()
        self._locks: BinaryIO | None = None

    def take(self, port: int) -> bool:
        """Whether it is this process's now; False where it is anybody's already, this process included."""
        directory = Path(tempfile.gettempdir()) / f"parley-ports-{os.getuid()}"
        if self._locks is None:
            directory.mkdir(exist_ok=True)
            self._locks = (directory / "locks").open("ab")
        if port in self._mine:
            return False
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        mark = directory / str(port)
        if mark.exists() and time.time() - mark.stat().st_mtime < RESERVED_S:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, port)
            return False
        mark.touch()
        self._mine.add(port)
        return True


_RESERVATIONS: Final = _Reservations()


def require_free(ports: Mapping[str, int]) -> None:
    """Raises StackError for the first port (by setting: `GATEWAY_PORT`) that is not a port, is named twice, or is taken."""
    seen: dict[int, str] = {}
    for setting, port in ports.items():
        if port in seen:
            raise StackError(f"{setting} and {seen[port]} are both {port}; choose another for one of them")
        seen[port] = setting
        if not is_free(port):
            raise StackError(
                f"port {port} ({setting}) is taken; see who has it with  ss -ltnp 'sport = :{port}'  "
                f"or choose another:  make run {setting}={free_port()}"
            )


def accepts(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
