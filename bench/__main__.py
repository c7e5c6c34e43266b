"""`make bench`: every comparison in one run; prints the table and writes it into docs/benchmarks.md, above what is said about it there.

`python -m bench gateway threads` runs these alone and prints their rows only.
"""

import asyncio
import importlib
import os
import platform
import re
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.rounds import Row, line

DOCUMENT: Final = Path("docs/benchmarks.md")
BEGIN: Final = "<!-- the table: written by make bench -->"
END: Final = "<!-- end of the table -->"
COMPARISONS: Final = ("gateway", "threads", "mails", "lists", "latency", "telemetry", "pipeline", "memory")
PACKAGES: Final = ("aio-pika", "aiormq", "pymongo", "fastapi", "uvicorn", "uvloop", "pydantic", "orjson", "aiosmtplib")
HEAD: Final = (
    "| | ours | | the baseline | | compared, median (lowest to highest) | aim | | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def machine() -> str:
    """Processor, cores, memory and system, as the kernel names them."""
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = processor.group(1) if processor else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def measured(names: Iterable[str]) -> tuple[list[Row], list[str]]:
    """The rows of these comparisons, and the names of those that broke."""
    rows, broken = [], []
    for name in names:
        began = time.monotonic()
        try:
            rows += asyncio.run(importlib.import_module(f"bench.{name}").measure())
        except Exception as error:
            broken.append(name)
            print(f"bench {name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"bench {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows, broken


def table(rows: Iterable[Row]) -> str:
    return "\n".join([HEAD, *(line(row) for row in rows)])


def written(text: str, rows: Iterable[Row], *, now: datetime) -> str:
    """The document with a new table in its place."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    block = "\n\n".join(
        [
            f"`make bench`, {now:%Y-%m-%d %H:%M} UTC; {machine()}; Python {platform.python_version()}; {packages}.",
            table(rows),
        ]
    )
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main() -> int:
    chosen = sys.argv[1:]
    rows, broken = measured(chosen or COMPARISONS)
    print(table(rows))
    if not chosen and not broken:
        DOCUMENT.write_text(
            written(DOCUMENT.read_text(encoding="utf-8"), rows, now=datetime.now(UTC)), encoding="utf-8"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
