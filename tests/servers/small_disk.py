"""A small disk of its own for a server's data, that a test can fill."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FILLER: Final = "filler"
BLOCK_BYTES: Final = 1_000_000


class SmallDisk:
    """A file system in memory. Where this user may not mount one, `is_there` is False and it is an ordinary directory."""

    def __init__(self, directory: Path, *, is_there: bool) -> None:
        self.directory, self.is_there = directory, is_there

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Writes a file until no more than this is free."""
        with (self.directory / FILLER).open("ab", buffering=0) as filler:
            try:
                while (more := self.free_bytes - leave_bytes) > 0:
                    filler.write(bytes(min(more, BLOCK_BYTES)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def clear(self) -> None:
        (self.directory / FILLER).unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize


@contextmanager
def small_disk(directory: Path, *, size_mb: int) -> Iterator[SmallDisk]:
    """Mounted at the directory while in it."""
    directory.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "parley-test", str(directory)]
    is_there = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield SmallDisk(directory, is_there=is_there)
    finally:
        if is_there:
            subprocess.run(["umount", "--lazy", str(directory)], capture_output=True, check=False)
