"""B11: memory of each service after 10^5 messages and with 1,000 live connections, and whether a long queue drains as fast as a short one.

`python -m bench.memory`, one long run of some minutes. Memory is what stands in RAM (RSS), looked at when a little has been done, and after
each quarter of the messages. The messages are commands put straight into threads' queue, which is quicker than posting them.
"""

import asyncio
import itertools
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import aiormq
from pamqp.commands import Basic
from pymongo import AsyncMongoClient

from bench.rounds import Row, line
from bench.sinks import SinkProcess, rss_mb
from bench.stack import made_orders, place, running_parley
from deploy.local.ports import LOOPBACK
from deploy.local.shop import ShopOrder
from shared import topology
from shared.callers import Caller
from shared.commands import PostMessage, routing_key
from tests.made import post
from tests.servers.parley import Parley

MESSAGES: Final = 100_000
SHORT_QUEUE: Final = 10_000
QUARTERS: Final = 4
ORDERS: Final = 500
LIVE: Final = 1_000
MOST_MB: Final = 120.0
FLAT: Final = 1.15
STEADY: Final = 0.9
IN_FLIGHT: Final = 512
LOOK_EVERY_S: Final = 0.1
DRAINED_WITHIN_S: Final = 240.0
SERVICES: Final = ("gateway", "threads", "notifier")
TEXT: Final = "Where is my order? It was to arrive last week, and nobody has told me anything about it since then. "


class Queue:
    """threads' queue, filled while its worker stands still, and how fast it drains."""

    def __init__(self, parley: Parley, orders: Sequence[ShopOrder], entries: Any) -> None:
        self._parley, self._orders, self._entries = parley, orders, entries
        self._numbers = itertools.count()

    async def drain(self, messages: int) -> list[float]:
        """Puts so many commands into the queue and lets them go: entries a second in each quarter of them."""
        threads = self._parley.services["threads"]
        stored = await self._stored()
        threads.pause()
        await self._fill(messages)
        threads.resume()
        marks = [1, *(messages * quarter // QUARTERS for quarter in range(1, QUARTERS + 1))]
        moments = [await self._reaches(stored + mark) for mark in marks]
        return [messages / QUARTERS / (end - begin) for begin, end in itertools.pairwise(moments)]

    async def _fill(self, messages: int) -> None:
        connection = await aiormq.connect(self._parley.vhost.url("gateway"))
        try:
            channel = await connection.channel()
            assert isinstance(channel, aiormq.Channel)
            for start in range(0, messages, IN_FLIGHT):
                some = range(start, min(start + IN_FLIGHT, messages))
                await asyncio.gather(*(_publish(channel, self._command()) for _ in some))
        finally:
            await connection.close()

    def _command(self) -> PostMessage:
        number = next(self._numbers)
        order = self._orders[number % len(self._orders)]
        by = Caller(role="customer", id=order.customer.id, name=order.customer.name)
        return post(f"{number}. {TEXT}", order_id=order.order_id, by=by, time=datetime.now(UTC))

    async def _stored(self) -> int:
        return int(await self._entries.estimated_document_count())

    async def _reaches(self, count: int) -> float:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DRAINED_WITHIN_S):
            while await self._stored() < count:  # noqa: ASYNC110 - they are stored by another process
                await asyncio.sleep(LOOK_EVERY_S)
        return loop.time()


async def _publish(channel: aiormq.Channel, command: PostMessage) -> None:
    properties = Basic.Properties(
        content_type="application/cloudevents+json", delivery_mode=2, message_id=command.id, user_id="gateway"
    )
    await channel.basic_publish(
        command.model_dump_json(exclude_none=True).encode(),
        exchange=topology.COMMANDS,
        routing_key=routing_key(command),
        properties=properties,
        wait=False,
    )


class Listener(asyncio.Protocol):
    """One live connection that reads and forgets."""

    def __init__(self, request: bytes, started: asyncio.Future[None]) -> None:
        self._request, self._started = request, started

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._started.done():
            assert b" 200 " in data[:20], data[:200]
            self._started.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._started.done():
            self._started.set_exception(exc or ConnectionResetError("hung up"))


async def listen(parley: Parley, orders: Sequence[ShopOrder], count: int) -> list[asyncio.BaseTransport]:
    """So many live connections, by the orders' customers in turn."""
    loop, port = asyncio.get_running_loop(), parley.services["gateway"].port
    transports: list[asyncio.BaseTransport] = []
    for order in itertools.islice(itertools.cycle(orders), count):
        token = parley.customer(order.customer.id)
        request = f"GET /v1/events HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        started: asyncio.Future[None] = loop.create_future()
        transport, _ = await loop.create_connection(partial(Listener, request, started), LOOPBACK, port)
        await started
        transports.append(transport)
    return transports


@dataclass
class Memory:
    """What each service had in RAM, each time it was looked at, in MB."""

    parley: Parley
    looks: Mapping[str, list[float]] = field(default_factory=lambda: {name: [] for name in SERVICES})

    def look(self) -> None:
        for name, looks in self.looks.items():
            looks.append(rss_mb(self.parley.services[name].pid))


async def measure() -> list[Row]:
    orders = made_orders(ORDERS, customers=ORDERS, sellers=ORDERS)
    async with AsyncExitStack() as running:
        sink = await running.enter_async_context(SinkProcess(None))
        mails = {"MAIL_DELAY": "10", "SMTP_PORT": str(sink.port)}
        parley = await running.enter_async_context(running_parley(notifier=mails))
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(parley.mongo.url)
        running.push_async_callback(client.close)
        await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
        queue = Queue(parley, orders, client[parley.database_names["threads"]]["entries"])
        memory = Memory(parley)
        memory.look()
        short = await queue.drain(SHORT_QUEUE)
        transports = await listen(parley, orders, LIVE)
        memory.look()
        long = await queue.drain(MESSAGES)
        memory.look()
        await _quiet(parley)
        memory.look()
        short += await queue.drain(SHORT_QUEUE)
        await _quiet(parley)
        memory.look()
        for transport in transports:
            transport.close()
    return [*_memory_rows(memory), _drain_row(short, long)]


async def _quiet(parley: Parley) -> None:
    """Returns when the notifier has taken everything too."""
    async with asyncio.timeout(DRAINED_WITHIN_S):
        while await parley.vhost.depth(topology.NOTIFIER_QUEUE):  # noqa: ASYNC110 - another process empties it
            await asyncio.sleep(LOOK_EVERY_S)


def _memory_rows(memory: Memory) -> list[Row]:
    """Two of each service: the most that it ever had, and what it has at the end beside what it had when the 10^5 were done."""
    rows = []
    for name, looks in memory.looks.items():
        what = f"memory of {name}: {MESSAGES:,} messages, {LIVE:,} live connections"
        said = "looked at: start, short queue, long queue, all mailed, once more: " + ", ".join(
            f"{look:.0f}" for look in looks
        )
        rows.append(Row("B11", what, "at its start", "MB", looks[1:], looks[:1], [max(looks)], MOST_MB, "lower", said))
        grown = [looks[-1] / looks[2]]
        rows.append(
            Row(
                "B11",
                f"memory of {name} stays flat",
                "when the long queue was done",
                "MB",
                looks[-1:],
                looks[2:3],
                grown,
                FLAT,
                "lower",
            )
        )
    return rows


def _drain_row(short: Sequence[float], long: Sequence[float]) -> Row:
    """The first half of the long queue, when it is long, beside the short one."""
    steady = statistics.median(short)
    halves = long[: QUARTERS // 2]
    return Row(
        "B11",
        f"drain with {MESSAGES:,} in the queue",
        f"with {SHORT_QUEUE:,}",
        "entries/s",
        halves,
        list(short),
        [rate / steady for rate in halves],
        STEADY,
    )


if __name__ == "__main__":
    rows = asyncio.run(measure())
    for row in rows:
        print(line(row))
    sys.exit(0)
