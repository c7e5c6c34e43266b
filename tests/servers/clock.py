"""A clock that a test can set, for one service process: libfaketime in front of the C library, where it is installed."""

import glob
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Clock:
    """The wall clock of one process. Its monotonic clock, by which waits are measured, is not touched, as with a real jump."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    @staticmethod
    def is_there() -> bool:
        return bool(glob.glob(LIBRARIES))

    def jump(self, offset_s: int) -> None:
        """From now on (a second later at most) the process sees the true time and so much more, or less."""
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(f"{offset_s:+d}\n")
        new.replace(self._file)

    @property
    def settings(self) -> Mapping[str, str]:
        """What the process must find in its environment."""
        return {
            "LD_PRELOAD": glob.glob(LIBRARIES)[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    @staticmethod
    def tidy(pid: int) -> None:
        """Removes what libfaketime leaves behind of a process that was killed."""
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            Path("/dev/shm", name).unlink(missing_ok=True)
