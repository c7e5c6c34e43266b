"""What a message costs each process: `python -m bench.sizing` (POSTS=5000). Processor time for each post, and memory before and after.

Posts come 32 at a time from this process on a few hundred orders; every one becomes an event, and every burst a mail. The
processor time of a process does not hang on what else the machine does, as its speed would.
"""

import asyncio
import contextlib
import os
import platform
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from bench.cpu import cpu_s
from bench.stack import made_orders, place, running_parley
from deploy.local.shop import ShopOrder
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

ORDERS: Final = 300
AT_ONCE: Final = 32
WARM_UP_POSTS: Final = 300
LIVE_CONNECTIONS: Final = 500
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Used:
    """Processor time and resident memory of one process at one moment."""

    cpu_s: float
    memory_bytes: int

    @classmethod
    def by(cls, pid: int) -> "Used":
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        return cls(cpu_s([pid]), resident)


async def main() -> None:
    posts = int(os.environ.get("POSTS") or 5_000)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"python -m bench.sizing, POSTS={posts}\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}\n")
    async with running_parley(notifier={"MAIL_DELAY": "2"}) as parley:
        orders = made_orders(ORDERS, customers=ORDERS, sellers=20)
        await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
        processes = _processes(parley)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
            await _post(session, parley, orders, WARM_UP_POSTS)
            await _mails_are_out(parley)
            before = {name: Used.by(pid) for name, pid in processes.items()}
            mails = len(parley.smtp.mails)
            await _post(session, parley, orders, posts)
            await _mails_are_out(parley)
            after = {name: Used.by(pid) for name, pid in processes.items()}
            _print_messages(before, after, posts=posts, mails=len(parley.smtp.mails) - mails)
            gateway = processes["gateway"]
            async with _live_connections(session, parley, orders, LIVE_CONNECTIONS):
                grown = Used.by(gateway).memory_bytes - after["gateway"].memory_bytes
            print(
                f"\n{LIVE_CONNECTIONS} live connections: {grown / LIVE_CONNECTIONS / 1000:.1f} kB of the gateway each"
            )


def _processes(parley: Parley) -> dict[str, int]:
    own = {name: process.pid for name, process in parley.services.items()}
    return own | {"RabbitMQ": _child("beam.smp"), "MongoDB": _child("mongod")}


def _child(program: str) -> int:
    """The server of this name that this process started. Raises LookupError."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            if name.startswith(program) and int(rest.split()[1]) == os.getpid():
                return int(entry.name)
    raise LookupError(program)


async def _post(session: aiohttp.ClientSession, parley: Parley, orders: Sequence[ShopOrder], count: int) -> None:
    """So many posts by the orders' customers, a few at a time. Raises AssertionError where one is not accepted."""
    left = iter(range(count))
    tokens = [parley.customer(f"bench-c-{number}", "Ada Byron") for number in range(len(orders))]

    async def writer() -> None:
        for number in left:
            place_of_order = number % len(orders)
            url = f"{parley.gateway_url}/v1/orders/{orders[place_of_order].order_id}/messages"
            headers = {"Authorization": f"Bearer {tokens[place_of_order]}", "Idempotency-Key": uuid.uuid4().hex}
            text = f"Message {number}: when will my reading lamp be here? I would like to give it away on Sunday."
            async with session.post(url, json={"text": text}, headers=headers) as answer:
                assert answer.status in (201, 202), await answer.text()

    await asyncio.gather(*(writer() for _ in range(AT_ONCE)))


async def _mails_are_out(parley: Parley) -> None:
    """Nothing waits in a queue or in the ledger."""
    notifier = parley.services["notifier"]
    seen = -1

    async def quiet() -> bool:
        nonlocal seen
        count, before = len(parley.smtp.received), seen
        seen = count
        await asyncio.sleep(3)
        return "\nnotifier_oldest_due_seconds 0.0" in notifier.text_of("/metrics") and count == before == len(
            parley.smtp.received
        )

    await eventually(quiet, timeout_s=180, what="every mail being out")


def _print_messages(before: Mapping[str, Used], after: Mapping[str, Used], *, posts: int, mails: int) -> None:
    print(f"{posts} posts, {mails} mails")
    print(f"{'':<10}{'CPU a post':>14}{'posts a core':>14}{'memory before':>15}{'after':>10}")
    for name, used in after.items():
        cost_s = (used.cpu_s - before[name].cpu_s) / posts
        line = f"{name:<10}{cost_s * 1000:>11.2f} ms{1 / cost_s:>12.0f}/s"
        print(f"{line}{before[name].memory_bytes / 1e6:>12.0f} MB{used.memory_bytes / 1e6:>7.0f} MB")


@asynccontextmanager
async def _live_connections(
    session: aiohttp.ClientSession, parley: Parley, orders: Sequence[ShopOrder], count: int
) -> AsyncIterator[None]:
    """So many customers listen."""
    answers = []
    for number in range(count):
        token = parley.customer(f"bench-c-{number % len(orders)}")
        answers.append(
            await session.get(f"{parley.gateway_url}/v1/events", headers={"Authorization": f"Bearer {token}"})
        )
        assert answers[-1].status == 200
    yield
    for answer in answers:
        answer.close()


if __name__ == "__main__":
    asyncio.run(main())
