"""B7: how long a post takes to be read, seen live and mailed on an idle system: `python -m bench.latency`.

Each post goes to another conversation, so that each makes a mail of its own, and none waits for the one before.
"""

import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from bench.connection import Connection
from bench.load.figures import percentile
from bench.rounds import ROUNDS, Row, line
from bench.stack import made_orders, place, running_parley
from deploy.local.shop import ShopOrder
from tests.servers.parley import Parley
from tests.servers.smtp import ReceivedMail
from tests.servers.waiting import eventually

POSTS: Final = 60
WARM_UP: Final = 30
CONVERSATIONS: Final = 200
SELLERS: Final = 20
PAUSE_S: Final = 0.03
ARRIVE_LIMIT_S: Final = 5.0

Post = Callable[[], Awaitable[float]]


class Client:
    """A shop's app at one gateway, as customers and sellers in turn, with a kept connection for requests and one for live events."""

    def __init__(self, parley: Parley, orders: list[ShopOrder]) -> None:
        self._parley = parley
        port = urlsplit(parley.gateway_url).port or 0
        self._requests, self._live = Connection(port), Connection(port)
        self._turn: Iterator[ShopOrder] = itertools.cycle(orders)
        self._tokens: dict[str, str] = {}
        self._arrived: dict[str, asyncio.Future[float]] = {}
        self._numbers = itertools.count()

    async def until_readable(self) -> float:
        """From sending a post until its author reads it: POST, then GET what is new until it is there."""
        order = next(self._turn)
        token = self._customer(order)
        began = time.perf_counter()
        posted = await self._post(order, token)
        path = f"/v1/orders/{order.order_id}/messages?after_seq={posted['seq'] - 1}"
        read: set[str] = set()
        while posted["id"] not in read:
            read = {each["id"] for each in (await self._requests.ask("GET", path, token))["items"]}
        return time.perf_counter() - began

    async def until_live(self) -> float:
        """From sending a post until its event has come to somebody who listens."""
        order = next(self._turn)
        text = self._text()
        arrived = self._arrived[text] = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        posting = asyncio.create_task(self._post(order, self._customer(order), text))
        async with asyncio.timeout(ARRIVE_LIMIT_S):
            took: float = await arrived - began
        await posting
        return took

    async def until_mailed(self) -> float:
        """From sending a seller's post until the mail server has taken the customer's mail."""
        order = next(self._turn)
        smtp, before = self._parley.smtp, len(self._parley.smtp.received)
        began = time.monotonic()
        posting = asyncio.create_task(self._post(order, self._seller(order)))

        def theirs() -> list[ReceivedMail]:
            return [each for each in smtp.received[before:] if order.customer.email in each.recipients]

        mails = await eventually(theirs, timeout_s=ARRIVE_LIMIT_S, what="the customer's mail")
        await posting
        return mails[0].at - began

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """With one live connection of the shop's, which hears of every post."""
        events = self._live.listen("/v1/events", self._parley.admin())
        await anext(events)
        hearing = asyncio.create_task(self._hear(events))
        try:
            yield
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            for connection in (self._requests, self._live):
                connection.close()

    async def _hear(self, events: AsyncIterator[bytes]) -> None:
        async for event in events:
            now = time.perf_counter()
            arrived = self._arrived.pop(json.loads(event).get("message", {}).get("text"), None)
            if arrived is not None:
                arrived.set_result(now)

    async def _post(self, order: ShopOrder, token: str, text: str | None = None) -> dict[str, Any]:
        path = f"/v1/orders/{order.order_id}/messages"
        posted: dict[str, Any] = await self._requests.ask("POST", path, token, {"text": text or self._text()})
        assert "seq" in posted, posted
        return posted

    def _text(self) -> str:
        return f"When will it be sent? I have been waiting for some days now. ({next(self._numbers)})"

    def _customer(self, order: ShopOrder) -> str:
        return self._token(order.customer.id, lambda: self._parley.customer(order.customer.id, "Ada"))

    def _seller(self, order: ShopOrder) -> str:
        seller = order.seller
        if seller is None:
            raise ValueError(f"order {order.order_id} has no seller")
        return self._token(seller.id, lambda: self._parley.seller(seller.id))

    def _token(self, person: str, mint: Callable[[], str]) -> str:
        if person not in self._tokens:
            self._tokens[person] = mint()
        return self._tokens[person]


async def some(post: Post, count: int) -> list[float]:
    """In milliseconds, one after the other with pauses of no regular length between them."""
    took = []
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.5, 1.5) * PAUSE_S)
        took.append(1_000 * await post())
    return took


async def idle(parley: Parley, *, rounds: int) -> list[Row]:
    """B7: the three ways in turn, round by round; a row for the median of each and one for its 99th percentile."""
    orders = made_orders(CONVERSATIONS, customers=CONVERSATIONS, sellers=SELLERS)
    await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
    client = Client(parley, orders)
    async with client.listening():
        ways: list[tuple[str, Post, float, float]] = [
            ("readable", client.until_readable, 10, 25),
            ("live event", client.until_live, 10, 25),
            ("taken by the mail server (mail delay 0)", client.until_mailed, 50, 100),
        ]
        for _, post, _, _ in ways:
            await some(post, WARM_UP)
        took: list[list[list[float]]] = [[await some(way[1], POSTS) for way in ways] for _ in range(rounds)]
    rows = []
    for number, (until, _, p50_ms, p99_ms) in enumerate(ways):
        of_rounds = [each[number] for each in took]
        medians = [statistics.median(each) for each in of_rounds]
        tails = [percentile(each, 99) for each in of_rounds]
        worst = f"{rounds} rounds of {POSTS} posts; slowest of all {max(max(each) for each in of_rounds):.1f} ms"
        rows += [
            _row(f"idle, POST → {until}, p50", medians, p50_ms, worst),
            _row(f"idle, POST → {until}, p99", tails, p99_ms, ""),
        ]
    return rows


def _row(what: str, values: list[float], aim: float, note: str) -> Row:
    return Row("B7", what, "", "ms", values, [], values, aim, "lower", note)


async def measure(*, rounds: int = ROUNDS) -> list[Row]:
    async with running_parley(notifier={"MAIL_DELAY": "0"}) as parley:
        return await idle(parley, rounds=rounds)


if __name__ == "__main__":
    for each in asyncio.run(measure(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)):
        print(line(each))
