"""Ports on the loopback interface: free ones, and whether a given one is free."""

import contextlib
import os
import random
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the range that Linux takes outgoing connections from (32768 and up): a client that keeps trying to reach a stopped
# server on such a port could otherwise be given that very port and connect to itself.
FREE_PORTS = range(20_000, 32_000)
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
    """A port that is free now, and given to nobody else on this machine for a minute: whoever asked should listen soon."""
    for port in random.sample(FREE_PORTS, k=200):
        if is_free(port) and _reserve(port):
            return port
    raise StackError(f"no free port between {FREE_PORTS.start} and {FREE_PORTS.stop} on {LOOPBACK}")


def _reserve(port: int) -> bool:
    """Whether nobody was given the port just now: two who ask at once (two runs of the tests) would both find it free."""
    mark = Path(tempfile.gettempdir()) / f"parley-ports-{os.getuid()}" / str(port)
    mark.parent.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if time.time() - mark.stat().st_mtime < RESERVED_S:
            return False
        mark.unlink(missing_ok=True)
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


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
