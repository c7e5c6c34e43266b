"""An SMTP sink in a process of its own, and how much memory a process has: for the benches that mail."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from deploy.local.ports import LOOPBACK, free_port

LOOK_EVERY_S: Final = 0.005
START_S: Final = 10.0


class SinkProcess:
    """bench.baselines.sink on a free port. `directory` is where it keeps mails, None for nowhere."""

    def __init__(self, directory: Path | None) -> None:
        self.port, self._directory = free_port(), directory

    async def __aenter__(self) -> "SinkProcess":
        where = "-" if self._directory is None else str(self._directory)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.baselines.sink", str(self.port), where
        )
        async with asyncio.timeout(START_S):
            while True:
                try:
                    self._reader, self._writer = await asyncio.open_connection(LOOPBACK, self.port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    await self._reader.readline()
                    return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._process.kill()
        await self._process.wait()

    async def accepted(self) -> int:
        """How many mails it has accepted since its start."""
        self._writer.write(b"HELP\r\n")
        return int((await self._reader.readline()).split()[1])

    async def reaches(self, count: int, *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while await self.accepted() < count:  # noqa: ASYNC110 - they are counted in another process
                await asyncio.sleep(LOOK_EVERY_S)

    def forget(self) -> None:
        """Deletes the mails that it keeps."""
        if self._directory is not None:
            for mail in self._directory.iterdir():
                mail.unlink()


def rss_mb(pid: int) -> float:
    """Memory of a process that stands in RAM, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
