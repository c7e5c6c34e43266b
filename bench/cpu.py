"""CPU of other processes: how much they have used, and how much they may use."""

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

# Linux's number of a process's clock, as clock_getcpuclockid(3) makes it; Python has that for threads alone.
CPU_CLOCK: Final = 2
CGROUPS: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 20_000


def processes_of(program: str, word: str) -> list[int]:
    """The processes of this program with the word somewhere in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            if program in command.partition("\0")[0] and word in command:
                found.append(int(entry.name))
    return found


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time so far of all their threads, to the microsecond; 0 for a process that is gone.

    /proc counts in hundredths of a second, which is a part of what a short round takes.
    """
    used_s = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            used_s += time.clock_gettime(~pid << 3 | CPU_CLOCK)
    return used_s


class CpuLimit:
    """Holds one process to a part of a core, by a control group (either version). Raises OSError where groups cannot be written."""

    def __init__(self, pid: int, *, cores: float) -> None:
        self._pid, quota_us = pid, round(cores * PERIOD_US)
        self._is_v2 = (CGROUPS / "cgroup.controllers").exists()
        self._parent = CGROUPS if self._is_v2 else CGROUPS / "cpu"
        self._group = self._parent / f"parley-bench-{pid}"
        self._limits = (
            {"cpu.max": f"{quota_us} {PERIOD_US}"}
            if self._is_v2
            else {"cpu.cfs_period_us": f"{PERIOD_US}", "cpu.cfs_quota_us": f"{quota_us}"}
        )

    def __enter__(self) -> Self:
        if self._is_v2:
            (self._parent / "cgroup.subtree_control").write_text("+cpu")
        self._group.mkdir()
        for name, value in self._limits.items():
            (self._group / name).write_text(value)
        (self._group / "cgroup.procs").write_text(f"{self._pid}")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """The process out of its group, so that this can go. Harmless where it has ended."""
        with contextlib.suppress(OSError):
            (self._parent / "cgroup.procs").write_text(f"{self._pid}")
        with contextlib.suppress(OSError):
            self._group.rmdir()
