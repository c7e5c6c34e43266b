"""The load: several people who write, read and dispute through any of the gateways, and repeat under one key what was not answered."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.chaos.ledger import Ledger
from tests.e2e.client import Answer, Client
from tests.servers.pace import lasting

ANSWER_LIMIT_S = 5.0
# A gateway that did not answer is left alone for so long, as a load balancer does.
AVOID_S = 5.0
REPEAT_PAUSE_S = 0.2
DONE = (200, 201, 202)


@dataclass
class Person:
    """One signed-in person at several gateways, with the orders they talk about and what they have seen there."""

    name: str
    side: str
    gateways: Sequence[Client]
    orders: Sequence[str]
    seen: dict[str, int] = field(default_factory=dict)
    last_post: dict[str, str] = field(default_factory=dict)
    avoided: dict[int, float] = field(default_factory=dict)

    def gateway(self, chance: random.Random) -> int:
        """The number of a gateway that answered when last asked; any, where none did."""
        now = time.monotonic()
        good = [number for number in range(len(self.gateways)) if self.avoided.get(number, 0) < now]
        return chance.choice(good or range(len(self.gateways)))

    def did_not_answer(self, gateway: int) -> None:
        self.avoided[gateway] = time.monotonic() + AVOID_S


@dataclass
class Figures:
    """What the clients saw: `accepted` writes, of which `posts` are messages; `longest_silence_s` is the longest time in which nobody got any answer from any gateway."""

    accepted: int = 0
    posts: int = 0
    refused: int = 0
    repeated: int = 0
    longest_silence_s: float = 0.0
    last_answer: float = field(default_factory=time.monotonic)

    def answered(self) -> None:
        now = time.monotonic()
        self.longest_silence_s = max(self.longest_silence_s, now - self.last_answer)
        self.last_answer = now


class Load:
    def __init__(self, *, ledger: Ledger, chance: random.Random, rate_per_s: float) -> None:
        self._ledger, self._chance, self._pause_s = ledger, chance, 1 / rate_per_s
        self.figures = Figures()
        self.over = asyncio.Event()
        self._number = 0

    async def live(self, person: Person) -> None:
        """Acts until the load is over; what was begun is repeated until it is answered."""
        while not self.over.is_set():
            await self._act(person)
            await lasting(self._chance.expovariate(1 / self._pause_s))

    async def _act(self, person: Person) -> None:
        order = self._chance.choice(person.orders)
        what = self._chance.random()
        if what < 0.7:
            await self._post(person, order)
        elif what < 0.85:
            await self._read(person, order)
        elif person.side == "customer":
            await self._dispute(person, order)

    async def _post(self, person: Person, order: str) -> None:
        key = self._key()
        body = {"text": f"{person.name} says {key}"}
        if order in person.last_post:
            body["after"] = person.last_post[order]
        seen = person.seen.get(order, 0)
        answer = await self._insist(person, "POST", f"/v1/orders/{order}/messages", body, key, order=order, seen=seen)
        if answer.status == 201:
            person.seen[order] = max(seen, answer.body["seq"])
            person.last_post[order] = answer.body["id"]
        elif answer.status == 202:
            person.last_post[order] = answer.body["command_id"]

    async def _read(self, person: Person, order: str) -> None:
        page = await self._try(person, "GET", f"/v1/orders/{order}/messages?limit=20")
        if page is None or page.status != 200 or not page.body["items"]:
            return
        newest = page.body["last_seq"]
        person.seen[order] = max(person.seen.get(order, 0), newest)
        await self._insist(
            person, "PUT", f"/v1/orders/{order}/read", {"up_to_seq": newest}, self._key(), order=order, seen=newest
        )

    async def _dispute(self, person: Person, order: str) -> None:
        opening = {"reason": "damaged", "text": f"{person.name} is not content"}
        closing = {"outcome": "resolved", "note": "all is well"}
        path, body = (
            (f"/v1/orders/{order}/dispute", opening)
            if self._chance.random() < 0.5
            else (f"/v1/orders/{order}/dispute/close", closing)
        )
        await self._insist(person, "POST", path, body, self._key(), order=order, seen=person.seen.get(order, 0))

    async def _insist(
        self, person: Person, method: str, path: str, body: dict[str, Any], key: str, *, order: str, seen: int
    ) -> Answer:
        """Repeats under the same key, at any gateway, until there is a definite answer."""
        self._ledger.write(
            "attempt",
            key=key,
            person=person.name,
            path=path,
            order=order,
            seen=seen,
            text=body.get("text"),
            after=body.get("after"),
        )
        while True:
            answer = await self._try(person, method, path, body, key)
            if answer is not None and answer.status < 500:
                self._count(answer, is_post=path.endswith("/messages"))
                self._ledger.write("answer", key=key, status=answer.status, id=_id(answer))
                return answer
            self.figures.repeated += 1
            await lasting(REPEAT_PAUSE_S)

    async def _try(
        self, person: Person, method: str, path: str, body: dict[str, Any] | None = None, key: str | None = None
    ) -> Answer | None:
        """The answer of one gateway, None where there was none in time."""
        gateway = person.gateway(self._chance)
        headers = {} if key is None else {"Idempotency_Key": key}
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await person.gateways[gateway].call(method, path, body, **headers)
        except (aiohttp.ClientError, TimeoutError):
            person.did_not_answer(gateway)
            return None
        self.figures.answered()
        return answer

    def _count(self, answer: Answer, *, is_post: bool) -> None:
        if answer.status in DONE:
            self.figures.accepted += 1
            self.figures.posts += is_post
        else:
            self.figures.refused += 1

    def _key(self) -> str:
        self._number += 1
        return f"k{self._number}"


def _id(answer: Answer) -> str | None:
    if answer.status == 201:
        return str(answer.body["id"])
    return str(answer.body["command_id"]) if answer.status == 202 else None
