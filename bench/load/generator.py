"""The open loop: requests are sent at their moments whether or not the earlier ones are answered, so that a stall shows in all of them."""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from bench.load.figures import Kind, Memory, Run, Sample
from bench.load.requests import Refused, Requests
from bench.load.schedule import arrivals

MAX_UNANSWERED: Final = 2_000
ANSWER_LIMIT_S: Final = 30.0
MEMORY_EVERY_S: Final = 5
RESIDENT: Final = re.compile(r"^process_resident_memory_bytes (\S+)$", re.MULTILINE)

Progress = Callable[[Run, float], None]


class Generator:
    """`services` are the addresses whose memory is watched, by name."""

    def __init__(
        self, http: aiohttp.ClientSession, requests: Requests, services: Mapping[str, str], *, chance: random.Random
    ) -> None:
        self._http, self._requests, self._services, self._chance = http, requests, services, chance

    async def run(self, rate: float, duration_s: float, *, progress: Progress | None = None) -> Run:
        """One run; returns when the last request is answered."""
        run, events_before = Run(rate, duration_s), self._requests.events
        began = time.perf_counter()
        under_way: set[asyncio.Task[None]] = set()
        watching = asyncio.create_task(self._watch(run, began, progress))
        try:
            for due_s, kind in arrivals(rate, duration_s, chance=self._chance):
                await asyncio.sleep(max(0.0, began + due_s - time.perf_counter()))
                if len(under_way) >= MAX_UNANSWERED:
                    run.samples.append(Sample(kind, due_s, 1_000 * ANSWER_LIMIT_S, "not sent: too many are unanswered"))
                    continue
                sending = asyncio.create_task(self._send(run, kind, due_s, began))
                under_way.add(sending)
                sending.add_done_callback(under_way.discard)
            await asyncio.gather(*under_way)
            run.memory += await self._resident(time.perf_counter() - began)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        run.events = self._requests.events - events_before
        return run

    async def _send(self, run: Run, kind: Kind, due_s: float, began: float) -> None:
        late_ms = 1_000 * (time.perf_counter() - began - due_s)
        run.worst_send_delay_ms = max(run.worst_send_delay_ms, late_ms)
        error: str | None = None
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await self._requests.by_kind[kind]()
        except Refused as refused:
            error = str(refused)
        except (aiohttp.ClientError, TimeoutError, OSError) as broken:
            error = type(broken).__name__
        run.samples.append(Sample(kind, due_s, 1_000 * (time.perf_counter() - began - due_s), error))

    async def _watch(self, run: Run, began: float, progress: Progress | None) -> None:
        for number in itertools.count():
            at_s = time.perf_counter() - began
            if number % MEMORY_EVERY_S == 0:
                run.memory += await self._resident(at_s)
            if progress is not None:
                progress(run, at_s)
            await asyncio.sleep(1.0)

    async def _resident(self, at_s: float) -> list[Memory]:
        """From the services' own figures, of those that tell."""
        found = [(name, await self._resident_bytes(url)) for name, url in self._services.items()]
        return [Memory(name, at_s, size / 1e6) for name, size in found if size is not None]

    async def _resident_bytes(self, url: str) -> float | None:
        try:
            async with asyncio.timeout(1.0), self._http.get(f"{url}/metrics") as answer:
                found = RESIDENT.search(await answer.text())
        except (aiohttp.ClientError, TimeoutError):
            return None
        return None if found is None else float(found[1])
