"""Live updates: whoever is cut off, and comes back to any gateway, misses nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from shared.orders import Customer, Seller
from tests.e2e.client import Client, Clients, clients_of
from tests.made import snapshot
from tests.servers.parley import Parley

EVENTS = 1_000
CUTS = 20


@dataclass
class Listener:
    """A client that listens to live events, is cut off again and again, and drops the ids that it knows."""

    token: str
    gateways: list[str]
    wanted: int
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_id: str | None = None
    cuts: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    resyncs: int = 0

    async def listen(self, session: aiohttp.ClientSession) -> None:
        """Until it has what it wants; cut off after every 1/20 of it, each time at the other gateway."""
        until_cut = self.wanted // (CUTS + 1)
        while len(self.seen) < self.wanted:
            gateway = self.gateways[self.cuts % len(self.gateways)]
            got = 0
            async for event in self._events(session, gateway):
                got += self._take(event)
                if len(self.seen) >= self.wanted or (got >= until_cut and self.cuts < CUTS):
                    break
            self.cuts += 1

    def _take(self, event: dict[str, Any]) -> int:
        """How many new events this is: 0 for one that is known."""
        if event["event"] == "resync":
            self.resyncs += 1
        if event["event"] != "message.posted":
            return 0
        message = event["data"]["message"]
        known = message["id"] in self.seen
        self.seen[message["id"]] = message
        return 0 if known else 1

    async def _events(self, session: aiohttp.ClientSession, gateway: str) -> AsyncIterator[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        async with session.get(f"{gateway}/v1/events", headers=headers) as answer:
            assert answer.status == 200
            self.connected.set()
            fields: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\r\n")
                if line:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")
                elif "data" in fields:
                    self.last_id = fields.get("id", self.last_id)
                    yield {"event": fields.get("event", "message"), "data": json.loads(fields["data"])}
                    fields = {}
                else:
                    fields = {}


async def test_three_clients_cut_off_twenty_times_each_end_with_exactly_their_events(running_parley: Parley) -> None:
    second = running_parley.add("gateway", label="gateway-2").start()
    await running_parley.ready()
    urls = [running_parley.gateway_url, second.url]
    async with clients_of(running_parley) as clients:
        writers = await _orders(clients)
        listeners = [
            Listener(running_parley.customer("c-0"), urls, EVENTS // 4),
            Listener(running_parley.seller("s-0"), list(reversed(urls)), EVENTS // 2),
            Listener(running_parley.admin(), urls, EVENTS),
        ]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
            listening = [asyncio.create_task(listener.listen(session)) for listener in listeners]
            async with asyncio.timeout(20):
                await asyncio.gather(*(listener.connected.wait() for listener in listeners))
            posted = await _post_all(writers)
            async with asyncio.timeout(120):
                await asyncio.gather(*listening)
    for listener, orders in zip(listeners, ({0}, {0, 2}, {0, 1, 2, 3}), strict=True):
        expected = {each for number in orders for each in posted[number]}
        assert set(listener.seen) == expected
        assert (listener.cuts > CUTS, listener.resyncs) == (True, 0)


async def _orders(clients: Clients) -> list[Client]:
    """Four orders of four customers; the first and third are the first seller's."""
    for number in range(4):
        customer = Customer(id=f"c-{number}", name="Customer", email=None)
        seller = Seller(id=f"s-{number % 2}", name="Seller", email=None)
        await clients.put_order(snapshot(f"o-{number}", customer=customer, seller=seller))
    return [clients.customer(f"c-{number}") for number in range(4)]


async def _post_all(writers: list[Client]) -> list[list[str]]:
    """The ids of the posts, by order."""
    posted: list[list[str]] = [[] for _ in writers]

    async def write(number: int) -> None:
        for count in range(EVENTS // len(writers)):
            answer = await writers[number].post(f"{number}: {count}", order_id=f"o-{number}", Prefer="wait=30")
            assert answer.status == 201, answer
            posted[number].append(answer.body["id"])

    await asyncio.gather(*(write(number) for number in range(len(writers))))
    return posted
