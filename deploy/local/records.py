"""Which processes a run has started, on disk, so that the next run can stop what a killed one left behind."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

GRACE_S = 20.0


class Recorded(NamedTuple):
    """A process: the pid alone may be somebody else's by now, pid and start time (in ticks since boot) are not."""

    name: str
    pid: int
    started: str


class ProcessRecords:
    """One small file a process in a directory of the run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def add(self, name: str, pid: int) -> None:
        started = start_time(pid)
        if started is None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        self._path(name).write_text(json.dumps({"pid": pid, "started": started}))

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def left_over(self) -> list[Recorded]:
        """What was recorded and still runs. Records of processes that have ended are removed."""
        found: list[Recorded] = []
        for path in sorted(self._directory.glob("*.json")):
            recorded = _read(path)
            if recorded is None or start_time(recorded.pid) != recorded.started:
                path.unlink(missing_ok=True)
            else:
                found.append(recorded)
        return found

    def stop_left_over(self, *, grace_s: float = GRACE_S) -> list[Recorded]:
        """Ends what a killed run left behind: SIGTERM to all, SIGKILL after the grace. Returns what it ended."""
        left = self.left_over()
        for number, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
            for recorded in self.left_over():
                _send(recorded.pid, signal.SIGCONT)
                _send(recorded.pid, number)
            deadline = time.monotonic() + wait_s
            while self.left_over() and time.monotonic() < deadline:
                time.sleep(0.05)
        return left

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def start_time(pid: int) -> str | None:
    """When this process was started, as boot id and clock ticks; None where it has ended (a zombie has)."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, ticks = after_name[0], after_name[19]
    return None if state in ("Z", "X") else f"{boot}/{ticks}"


def _read(path: Path) -> Recorded | None:
    try:
        content = json.loads(path.read_text())
        return Recorded(path.stem, int(content["pid"]), str(content["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
