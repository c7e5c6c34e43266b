"""B11: memory of each service: at its start, with 1,000 live connections, after 10^4 messages and after 10^5: `python -m bench.memory`.

The messages are posted at the gateway by two processes, as fast as it takes them, so that a queue grows in front of threads; both
parties of 500 orders write, both are mailed, and both listen. Memory is what stands in RAM (RSS), and the most that ever stood there.
`python -m bench.memory MESSAGES LIVE_CONNECTIONS` makes a smaller run.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pymongo import AsyncMongoClient

from bench.listeners import Listener, listening
from bench.posters import BETWEEN, MARK
from bench.rounds import Row, line
from bench.sinks import SinkProcess, rss_mb
from bench.stack import made_orders, place, running_parley
from deploy.local.services import SERVICES
from deploy.local.shop import ShopOrder
from shared import topology
from shared.mongo import Document
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

MESSAGES: Final = 100_000
LIVE: Final = 1_000
ORDERS: Final = 500
PROCESSES: Final = 2
CONNECTIONS: Final = 16
MOST_MB: Final = 120.0
FLAT: Final = 1.15
POSTED_WITHIN_S: Final = 240.0
HANDLED_WITHIN_S: Final = 300.0
MAIL_DELAY_S: Final = "10"
TEXT: Final = "Where is my order? It was to arrive last week, and nobody has told me anything about it since then. "


@dataclass
class Memory:
    """What each service had in RAM each time it was looked at, in MB of 10^6 bytes."""

    parley: Parley
    moments: list[str] = field(default_factory=list)
    looks: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in SERVICES})

    def look(self, moment: str) -> None:
        self.moments.append(moment)
        for name, looks in self.looks.items():
            looks.append(rss_mb(self.parley.services[name].pid))

    def rows(self, what: str) -> list[Row]:
        """Two of each service: the most that it ever had, and whether it has stopped growing."""
        return [row for name in self.looks for row in self._rows_of(name, what)]

    def _rows_of(self, name: str, what: str) -> list[Row]:
        looks, most = self.looks[name], most_mb(self.parley.services[name].pid)
        said = ", ".join(f"{moment} {look:.0f}" for moment, look in zip(self.moments, looks, strict=True))
        grown = looks[-1] / looks[-2]
        return [
            Row(
                "B11",
                f"memory of {name}: {what}",
                "at its start",
                "MB",
                [most],
                looks[:1],
                [most],
                MOST_MB,
                "lower",
                said,
            ),
            Row(
                "B11",
                f"memory of {name}, {self.moments[-1]}",
                self.moments[-2],
                "MB",
                looks[-1:],
                looks[-2:-1],
                [grown],
                FLAT,
                "lower",
            ),
        ]


class Posts:
    """Posts at the gateway, and the wait until they are stored and their events taken."""

    def __init__(self, parley: Parley, requests: Path) -> None:
        self._parley, self._requests = parley, requests
        self._posted = 0

    async def __call__(self, messages: int) -> None:
        """Returns when nothing of them waits in a queue."""
        arguments = [str(self._parley.services["gateway"].port), f"{CONNECTIONS}", f"{POSTED_WITHIN_S}"]
        posting = [
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bench.posters", *arguments, str(self._requests), f"{messages // PROCESSES}"),
                stdout=asyncio.subprocess.PIPE,
            )
            for _ in range(PROCESSES)
        ]
        for process in posting:
            said = json.loads((await process.communicate())[0])
            assert said["failures"] == 0, said["failure"]
            self._posted += said["all_posts"]
        await self._handled()

    async def _handled(self) -> None:
        async with AsyncMongoClient[Document](self._parley.mongo.url) as client:
            entries = client[self._parley.database_names["threads"]]["entries"]

            async def stored() -> bool:
                return await entries.estimated_document_count() >= self._posted

            async def taken() -> bool:
                return await self._parley.vhost.depth(topology.NOTIFIER_QUEUE) == 0

            await eventually(stored, timeout_s=HANDLED_WITHIN_S, what=f"{self._posted:,} entries")
            await eventually(taken, timeout_s=HANDLED_WITHIN_S, what="an empty queue of the notifier")


def most_mb(pid: int) -> float:
    """The most memory that the process ever had in RAM, in 10^6 bytes."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(each.split()[1]) * 1024 / 1e6 for each in lines if each.startswith("VmHWM"))


def requests(orders: Sequence[ShopOrder], tokens: Sequence[str]) -> bytes:
    """A post to each order by each of its parties; tokens are its customer's and its seller's, in turn."""
    body = json.dumps({"text": TEXT * 2}).encode()
    made = []
    for number, token in enumerate(tokens):
        head = (
            f"POST /v1/orders/{orders[number // 2].order_id}/messages HTTP/1.1\r\nHost: shop.example\r\n"
            f"Content-Type: application/json\r\nAuthorization: Bearer {token}\r\nPrefer: respond-async\r\n"
        )
        made.append(head.encode() + b"Content-Length: %d\r\nIdempotency-Key: %b\r\n\r\n%b" % (len(body), MARK, body))
    return BETWEEN.join(made)


async def measure(*, messages: int = MESSAGES, live: int = LIVE) -> list[Row]:
    orders = made_orders(ORDERS, customers=ORDERS, sellers=ORDERS)
    async with AsyncExitStack() as running:
        scratch = Path(running.enter_context(tempfile.TemporaryDirectory()))
        sink = await running.enter_async_context(SinkProcess(None))
        mails = {"MAIL_DELAY": MAIL_DELAY_S, "SMTP_PORT": str(sink.port)}
        parley = await running.enter_async_context(running_parley(notifier=mails))
        await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
        tokens = [
            token
            for each in orders
            if each.seller is not None
            for token in (parley.customer(each.customer.id), parley.seller(each.seller.id))
        ]
        (scratch / "requests").write_bytes(requests(orders, tokens))
        posts, memory = Posts(parley, scratch / "requests"), Memory(parley)
        memory.look("start")
        port = parley.services["gateway"].port
        listeners = await running.enter_async_context(listening(port, tokens, live))
        memory.look(f"{live:,} live")
        await posts(messages // 10)
        memory.look(f"{messages // 10:,} messages")
        await posts(messages * 4 // 10)
        memory.look(f"{messages // 2:,} messages")
        await posts(messages // 2)
        memory.look(f"{messages:,} messages")
        _require_all_open(listeners)
        return memory.rows(f"{messages:,} messages, {live:,} live connections")


def _require_all_open(listeners: Sequence[Listener]) -> None:
    lost = sum(not each.is_open for each in listeners)
    assert not lost, f"{lost} live connections did not last"


if __name__ == "__main__":
    sizes = [int(each) for each in sys.argv[1:]]
    asked = dict(zip(("messages", "live"), sizes, strict=False))
    for row in asyncio.run(measure(**asked)):
        print(line(row))
