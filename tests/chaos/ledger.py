"""What the clients attempted and what they were answered, on disk before anything else happens."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Ledger:
    """One JSON line an attempt and one an answer, each synced to disk: a crash of the clients loses no evidence either."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")

    def write(self, what: str, **facts: Any) -> None:
        self._file.write(json.dumps({"what": what, "at": time.time(), **facts}) + "\n")
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def lines(self) -> Iterator[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
