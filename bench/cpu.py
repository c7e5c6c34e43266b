"""CPU of other processes: how much they have used, and how much they may use."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
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
    """User and system time so far; 0 for a process that is gone."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_A_SECOND


class CpuLimit:
    """Holds one process to a part of a core, by a control group (either version); needs root and writable cgroups."""

    def __init__(self, pid: int, *, cores: float) -> None:
        self._pid, self._quota_us = pid, round(cores * PERIOD_US)
        is_v2 = (CGROUPS / "cgroup.controllers").exists()
        self._group = (CGROUPS if is_v2 else CGROUPS / "cpu") / f"parley-bench-{pid}"
        self._limits = (
            {"cpu.max": f"{self._quota_us} {PERIOD_US}"}
            if is_v2
            else {"cpu.cfs_period_us": f"{PERIOD_US}", "cpu.cfs_quota_us": f"{self._quota_us}"}
        )

    def __enter__(self) -> Self:
        self._group.mkdir()
        for name, value in self._limits.items():
            (self._group / name).write_text(value)
        (self._group / "cgroup.procs").write_text(f"{self._pid}")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """The process back to where it came from, so that its group can go."""
        with contextlib.suppress(OSError):
            (self._group.parent / "cgroup.procs").write_text(f"{self._pid}")
        with contextlib.suppress(OSError):
            self._group.rmdir()
