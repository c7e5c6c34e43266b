"""`make bench`: every comparison in one run; prints the rows as they come, and writes the table into docs/benchmarks.md.

`python -m bench gateway threads` makes these alone and writes nothing, unless `--into FILE` names a document that has the two marks.
One that fails, or takes longer than it may, has a row that says so, and the others go on; the exit status is then 1.
"""

import argparse
import asyncio
import importlib
import os
import platform
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop
from pymongo import MongoClient

from bench.rounds import HEAD, Failed, Row, line
from shared.mongo import Document
from tests.servers.providers import shared_mongo, shared_rabbit

DOCUMENT: Final = Path("docs/benchmarks.md")
BEGIN: Final = "<!-- the table: written by make bench -->"
END: Final = "<!-- end of the table -->"
# In the order of the table.
COMPARISONS: Final = (
    "gateway",
    "threads",
    "workers",
    "mails",
    "lists",
    "latency",
    "loaded",
    "telemetry",
    "pipeline",
    "memory",
    "long_queue",
)
LIMIT_S: Final = 900.0
PACKAGES: Final = ("aio-pika", "aiormq", "pymongo", "fastapi", "uvicorn", "uvloop", "pydantic", "orjson", "aiosmtplib")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one comparison came to, and in how many seconds."""

    name: str
    rows: Sequence[Row | Failed]
    took_s: float

    @property
    def is_whole(self) -> bool:
        return not any(isinstance(row, Failed) for row in self.rows)


def machine() -> str:
    """Processor, cores, memory and system, as the kernel names them."""
    processor = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = processor.group(1) if processor else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {platform.system()} {platform.release()}"


def servers() -> Mapping[str, str]:
    """The versions of the servers, which are started for that, as every comparison starts them."""
    with tempfile.TemporaryDirectory() as name, shared_rabbit(Path(name)) as rabbit, shared_mongo(Path(name)) as mongo:
        with MongoClient[Document](mongo.url) as client:
            mongodb = client.server_info()["version"]
        return {"RabbitMQ": rabbit.address.management.call("GET", "/overview")["rabbitmq_version"], "MongoDB": mongodb}


def measured(name: str) -> Measured:
    """One comparison. Whatever breaks in it is its own affair, and one row."""
    began = time.monotonic()
    rows: Sequence[Row | Failed]
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(_limited(name))
    except Exception as error:
        traceback.print_exc()
        rows = [Failed(name, f"{type(error).__name__}: {error}")]
    return Measured(name, rows, time.monotonic() - began)


async def _limited(name: str) -> Sequence[Row]:
    async with asyncio.timeout(LIMIT_S):
        found: Sequence[Row] = await importlib.import_module(f"bench.{name}").measure()
        return found


def table(parts: Iterable[Measured]) -> str:
    return "\n".join([HEAD, *(line(row) for part in parts for row in part.rows)])


def block(parts: Sequence[Measured], servers: Mapping[str, str], *, command: str, now: datetime) -> str:
    """The table with what it was measured on, with what, by which commands, and how long that took."""
    versions = {"Python": platform.python_version(), **servers} | {name: version(name) for name in PACKAGES}
    said = ", ".join(f"{name} {found}" for name, found in versions.items())
    took = ", ".join(f"`{part.name}` {part.took_s:.0f} s" for part in parts)
    minutes = sum(part.took_s for part in parts) / 60
    return "\n\n".join(
        [
            f"`{command}`, begun {now:%Y-%m-%d %H:%M} UTC, {minutes:.0f} minutes; {machine()}; {said}.",
            table(parts),
            f"Each part alone is `python -m bench.NAME`: {took}.",
        ]
    )


def written(text: str, block: str) -> str:
    """The document with a new block between its marks. Raises ValueError where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no place for the table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


def main() -> int:
    asked = arguments()
    document = asked.into or (None if asked.names else DOCUMENT)
    only = f' ONLY="{" ".join(asked.names)}"' if asked.names else ""
    now, found, parts = datetime.now(UTC), servers(), []
    for name in asked.names or COMPARISONS:
        parts.append(measured(name))
        print("\n".join(line(row) for row in parts[-1].rows), flush=True)
        print(f"{name}: {parts[-1].took_s:.0f} s", file=sys.stderr, flush=True)
        if document is not None:
            text = block(parts, found, command=f"make bench{only}", now=now)
            document.write_text(written(document.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0 if all(part.is_whole for part in parts) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(COMPARISONS))
    parser.add_argument("--into", type=Path, metavar="FILE", help="writes the table between the marks of this document")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(COMPARISONS))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    return asked


if __name__ == "__main__":
    sys.exit(main())
