"""`make prove-rolling`: every service restarted again and again under load, two of each running, one at a time, as a new release is rolled out.

ROUNDS (20): in each, every process of every service is ended by SIGTERM and started again, and the next is not touched before it is
ready. A post is tried at one gateway; where that refuses the connection, or hangs up before it has answered, it is tried at the other
under the same Idempotency-Key, as a load balancer does. Any answer but a 2xx is a failed post. Exit status 1 on a failed or lost post,
on a doubled mail, or on anything else that the audit of chaos finds.
"""

import asyncio
import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from shared import logs
from tests.chaos import people
from tests.chaos.evidence import gathered, listening
from tests.chaos.ledger import Ledger
from tests.chaos.poison import Poison
from tests.chaos.quiet import quiet
from tests.chaos.stack import SERVICES, Stack, end_in_order_when_told, running
from tests.e2e.client import Answer, Client, Clients
from tests.servers.pace import every
from tests.servers.services import ServiceProcess

POSTERS: Final = 8
EVERY_S: Final = 0.3
ANSWER_LIMIT_S: Final = 15.0
READY_LIMIT_S: Final = 60.0


@dataclass
class Figures:
    """`moved` posts found a gateway that was ending, by how it said so, and were answered by the other one."""

    answers: Counter[int] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    restarts: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest_end_s: float = 0.0

    @property
    def posts(self) -> int:
        return sum(self.answers.values())


class Poster:
    """One customer who posts at either gateway in turns."""

    def __init__(self, clients: list[Client], number: int, *, figures: Figures, ledger: Ledger) -> None:
        self._clients, self._number = clients, number
        self._figures, self._ledger = figures, ledger
        self._keys = itertools.count(number, POSTERS)

    async def go_on(self, over: asyncio.Event) -> None:
        async for turn in every(EVERY_S):
            if over.is_set():
                return
            await self._post(turn)

    async def _post(self, turn: int) -> None:
        key, order = f"k{next(self._keys)}", f"o-{self._number}"
        text, path = f"customer-{self._number} says {key}", f"/v1/orders/{order}/messages"
        facts = {"person": f"customer-{self._number}", "path": path, "order": order, "seen": 0, "after": None}
        self._ledger.write("attempt", key=key, text=text, **facts)
        began = time.monotonic()
        answer = await self._anywhere(turn, path, text, key)
        self._figures.slowest_s = max(self._figures.slowest_s, time.monotonic() - began)
        status = 0 if answer is None else answer.status
        self._figures.answers[status] += 1
        if answer is None or not 200 <= status < 300:
            self._figures.failed.append(f"{key}: {'no answer' if answer is None else (status, answer.body)}")
            return
        accepted_id = answer.body["id"] if status == 201 else answer.body["command_id"]
        self._ledger.write("answer", key=key, status=status, id=accepted_id)

    async def _anywhere(self, turn: int, path: str, text: str, key: str) -> Answer | None:
        """The first gateway's answer; the other's, where the first ended before it answered."""
        for step in range(len(self._clients)):
            client = self._clients[(turn + step) % len(self._clients)]
            try:
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    return await client.call("POST", path, {"text": text}, Idempotency_Key=key)
            except aiohttp.ClientConnectorError:
                self._figures.moved["refused"] += 1
            except aiohttp.ClientError:
                self._figures.moved["hung up"] += 1
            except TimeoutError:
                return None
        return None


async def prove(rounds: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="rolling-") as scratch:
        directory = Path(scratch)
        async with running(directory) as stack:
            await listening(stack)
            figures, ledger = Figures(), Ledger(directory / "ledger.jsonl")
            async with aiohttp.ClientSession() as session:
                for order in people.orders():
                    await Clients(stack.parley, session).put_order(order)
                await _under_load(stack, session, figures, ledger, rounds)
            await quiet(stack)
            ledger.close()
            verdict = await gathered(stack, ledger, Poison(stack.parley.vhost), peaceful=True)
    for each in [*figures.failed, *verdict.lost, *verdict.doubled, *verdict.ghosts, *verdict.disorder, *verdict.other]:
        print(f"  {each}")
    restarts = ", ".join(f"{service} {count}" for service, count in figures.restarts.items())
    answers = ", ".join(f"{status}: {count}" for status, count in sorted(figures.answers.items()))
    moved = ", ".join(f"{how} {count}" for how, count in figures.moved.items()) or "none"
    print(
        f"rolling: {rounds} rolling restarts of every service ({restarts}), {figures.posts} posts ({answers}), "
        f"failed {len(figures.failed)}, answered by the other gateway: {moved}; slowest answer {figures.slowest_s:.2f} s, "
        f"slowest end {figures.slowest_end_s:.1f} s; lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, "
        f"other {len(verdict.other)}, mails {verdict.mails.mails}, doubled mails {verdict.mails.duplicates}, "
        f"ambiguous {verdict.mails.doubts}"
    )
    return verdict.is_clean and not figures.failed and not verdict.mails.duplicates


async def _under_load(
    stack: Stack, session: aiohttp.ClientSession, figures: Figures, ledger: Ledger, rounds: int
) -> None:
    over = asyncio.Event()
    posters = [
        Poster(_at_each(stack, session, number), number, figures=figures, ledger=ledger) for number in range(POSTERS)
    ]
    posting = [asyncio.create_task(poster.go_on(over)) for poster in posters]
    for number in range(rounds):
        for service in SERVICES:
            for process in stack.pair(service):
                await _restart(process, figures)
        print(f"  round {number + 1} of {rounds}: {figures.posts} posts, {len(figures.failed)} failed", flush=True)
    over.set()
    await asyncio.gather(*posting)


def _at_each(stack: Stack, session: aiohttp.ClientSession, number: int) -> list[Client]:
    token = stack.parley.customer(f"c-{number}")
    return [Client(session, process.url, token) for process in stack.pair("gateway")]


async def _restart(process: ServiceProcess, figures: Figures) -> None:
    began = time.monotonic()
    await asyncio.to_thread(process.term, timeout_s=30)
    figures.slowest_end_s = max(figures.slowest_end_s, time.monotonic() - began)
    process.start()
    await process.ready(timeout_s=READY_LIMIT_S)
    figures.restarts[process.service] += 1


def main() -> None:
    end_in_order_when_told()
    logs.configure(service="rolling", log_format="text", level="error")
    rounds = int(os.environ.get("ROUNDS") or 20)
    print(f"rolling: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {rounds} rounds, two of each service", flush=True)
    sys.exit(0 if asyncio.run(prove(rounds)) else 1)


if __name__ == "__main__":
    main()
