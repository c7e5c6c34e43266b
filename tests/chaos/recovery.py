"""`make prove-recovery`: each fault of the infrastructure once, under steady load on two of each service, and what people noticed.

Printed for each: the longest time in which nobody got any answer (a 503 that says when to try again is one), the longest that anybody
waited for one, and how long after the failed part served again until posting and reading work at both gateways and the mail about a
new post arrives. Exit status 1 where the first or the last is above its limit (2 s and 5 s).
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from shared import logs
from tests.chaos import people
from tests.chaos.lanes import Fault
from tests.chaos.plan import Step
from tests.chaos.stack import SERVICES, Stack, end_in_order_when_told, running
from tests.e2e.client import Answer, Client, Clients
from tests.infrastructure.mongodb import MongoFaults
from tests.infrastructure.rabbitmq import RabbitFaults, copy_everything
from tests.infrastructure.services import ServiceFaults
from tests.infrastructure.smtp import SmtpFaults
from tests.servers.pace import every
from tests.servers.waiting import eventually

SILENCE_LIMIT_S: Final = 2.0
RECOVERY_LIMIT_S: Final = 5.0
LASTS_S: Final = 4.0
EVERY_S: Final = 0.1
CLIENTS_EACH: Final = 3
ANSWER_LIMIT_S: Final = 10.0
GIVE_UP_S: Final = 60.0
LAST: Final = 0.99


@dataclass
class Noticed:
    """The answers that clients got since `begin`."""

    longest_silence_s: float = 0.0
    slowest_s: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        self.longest_silence_s, self.slowest_s, self.statuses, self.last = 0.0, 0.0, {}, time.monotonic()

    def answered(self, status: int, *, after_s: float) -> None:
        self.look()
        self.last = time.monotonic()
        self.slowest_s = max(self.slowest_s, after_s)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def look(self) -> None:
        self.longest_silence_s = max(self.longest_silence_s, time.monotonic() - self.last)


class Watchers:
    """Clients at both gateways who go on posting and reading whatever happens."""

    def __init__(self, stack: Stack, session: aiohttp.ClientSession) -> None:
        self._stack, self._session = stack, session
        self._number = itertools.count()
        self.noticed = Noticed()

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._go_on(client, number))
            for client in self.customers(0)
            for number in range(CLIENTS_EACH)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def customers(self, number: int) -> list[Client]:
        """The customer of this order, at each gateway."""
        token = self._stack.parley.customer(f"c-{number}")
        return [Client(self._session, process.url, token) for process in self._stack.pair("gateway")]

    async def _go_on(self, client: Client, number: int) -> None:
        async for turn in every(EVERY_S):
            method, path, body = (
                ("GET", "/v1/orders/o-0/messages?limit=5", None)
                if (number + turn) % 3 == 0
                else ("POST", "/v1/orders/o-0/messages", {"text": f"again {next(self._number)}"})
            )
            began = time.monotonic()
            answer = await self._call(client, method, path, body)
            if answer is not None:
                self.noticed.answered(answer.status, after_s=time.monotonic() - began)

    async def _call(self, client: Client, method: str, path: str, body: object) -> Answer | None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await client.call(method, path, body)
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def processes_serve(self) -> None:
        """Returns when every process answers at all: one that was started serves again from then on."""
        for process in self._stack.processes:
            answers = partial(asyncio.to_thread, process.status_of, "/livez")
            await eventually(answers, timeout_s=GIVE_UP_S, what=f"{process.label} answering")

    async def everything_works(self, number: int) -> None:
        """Returns once a new post at each gateway is answered with 201, can be read there, and is mailed."""
        await asyncio.gather(*(self._works(client, number) for client in self.customers(number)))

    async def _works(self, client: Client, number: int) -> None:
        text = f"after the fault {next(self._number)}"
        path, key = f"/v1/orders/o-{number}/messages", f"key-{text}"

        async def posted() -> bool:
            answer = await self._post(client, path, text, key)
            return answer is not None and answer.status == 201

        async def read() -> bool:
            answer = await self._call(client, "GET", f"{path}?limit=5", None)
            return answer is not None and answer.status == 200

        async def mailed() -> bool:
            return any(text.encode() in mail.content for mail in self._stack.smtp.mails[-200:])

        for look in (posted, read, mailed):
            await eventually(look, timeout_s=GIVE_UP_S, what=look.__name__)

    async def _post(self, client: Client, path: str, text: str, key: str) -> Answer | None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await client.call("POST", path, {"text": text}, Idempotency_Key=key)
        except (aiohttp.ClientError, TimeoutError):
            return None


@dataclass(frozen=True)
class Row:
    fault: str
    silence_s: float
    slowest_s: float
    recovery_s: float
    statuses: dict[int, int]

    @property
    def is_good(self) -> bool:
        return self.silence_s <= SILENCE_LIMIT_S and self.recovery_s <= RECOVERY_LIMIT_S

    def __str__(self) -> str:
        answers = " ".join(f"{status}:{count}" for status, count in sorted(self.statuses.items()))
        mark = "" if self.is_good else "  <-- above the limit"
        return f"{self.fault:32} {self.silence_s:8.2f} s {self.slowest_s:8.2f} s {self.recovery_s:8.2f} s   {answers}{mark}"


async def prove(chosen: Sequence[str]) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="recovery-") as scratch:
        async with running(Path(scratch)) as stack, aiohttp.ClientSession() as session:
            await copy_everything(stack)
            clients = Clients(stack.parley, session)
            for order in people.orders():
                await clients.put_order(order)
            watchers = Watchers(stack, session)
            rows = []
            async with watchers.at_work():
                await watchers.everything_works(1)
                for number, (name, fault, pick) in enumerate(_faults(stack)):
                    if not chosen or name in chosen:
                        rows.append(await _measured(watchers, name, fault, pick, order=number % people.ORDERS))
                        print(rows[-1], flush=True)
            return rows


def _faults(stack: Stack) -> list[tuple[str, Fault, float]]:
    """Each with the place that it picks: networks fail for every service, processes in turn."""
    lanes = [
        RabbitFaults(stack).lane(),
        MongoFaults(stack).lane(),
        SmtpFaults(stack, recipients=people.recipients()).lane(),
    ]
    faults = [(name, fault, LAST) for lane in lanes for name, (_, fault) in lane.faults.items()]
    for lane in ServiceFaults(stack).lanes(zombies=False):
        for name, (_, fault) in lane.faults.items():
            faults += [(f"{name} {service}", fault, (2 * at + 1) / 6) for at, service in enumerate(SERVICES)]
    return faults


async def _measured(watchers: Watchers, name: str, fault: Fault, pick: float, *, order: int) -> Row:
    """The fault ends when the failed part serves again; everything is counted until all works."""
    watchers.noticed.begin()
    await fault(Step(name, gap_s=0, lasts_s=LASTS_S, pick=pick))
    await watchers.processes_serve()
    served_again = time.monotonic()
    await watchers.everything_works(order)
    recovery_s = time.monotonic() - served_again
    watchers.noticed.look()
    noticed = watchers.noticed
    return Row(name, noticed.longest_silence_s, noticed.slowest_s, recovery_s, dict(noticed.statuses))


def main() -> None:
    end_in_order_when_told()
    logs.configure(service="recovery", log_format="text", level="error")
    print(f"recovery: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, two of each service, each fault lasts {LASTS_S:g} s")
    print(f"{'fault':32} {'silence':>10} {'slowest':>10} {'recovery':>10}   answers meanwhile")
    rows = asyncio.run(prove(sys.argv[1:]))
    bad = [row.fault for row in rows if not row.is_good]
    print(
        f"recovery: {len(rows)} faults, longest time without an answer {max(row.silence_s for row in rows):.2f} s "
        f"(limit {SILENCE_LIMIT_S:g}), slowest recovery {max(row.recovery_s for row in rows):.2f} s "
        f"(limit {RECOVERY_LIMIT_S:g}), above a limit: {', '.join(bad) or 'none'}"
    )
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
