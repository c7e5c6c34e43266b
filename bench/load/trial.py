"""A stack under load: a given one, or one of its own; the highest rate that it bears, and runs at chosen rates."""

import math
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from bench.load.figures import Run, percentile
from bench.load.generator import Generator, Progress
from bench.load.people import open_shop
from bench.load.requests import Requests, session
from bench.load.search import FIRST_RATE, Found, highest
from bench.sinks import SinkProcess
from bench.stack import running_parley
from deploy.local.demo_target import DemoTarget

P99_LIMIT_MS: Final = 100.0
HOPELESS_MS: Final = 1_000.0
STEP_S: Final = 15.0
WARM_UP_S: Final = 3.0
WARM_UP_RATE: Final = 20.0
UNCOUNTED_PART: Final = 4
CALM_LIMIT_S: Final = 60.0
CALM_RATE: Final = 20.0
CALM_MS: Final = 50.0
SEED: Final = 7
OWN_MAIL_DELAY_S: Final = "2"

Say = Callable[[str], None]


class Trial:
    """Runs at one stack, each after the one before has left nothing behind."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator

    async def run(self, rate: float, duration_s: float, *, progress: Progress | None = None) -> Run:
        await self._calm()
        return await self._generator.run(rate, duration_s, progress=progress)

    async def top_rate(self, say: Say, *, step_s: float = STEP_S, first: float = FIRST_RATE) -> Found:
        """The highest rate without an error and with its p99 below 100 ms; the first part of each step is not counted.

        A rate that is not borne is tried once more where it was near, since something else on the machine may have had that moment.
        """

        async def bears(rate: float) -> bool:
            p99_ms = await self._p99_ms(rate, step_s, say)
            if P99_LIMIT_MS <= p99_ms < HOPELESS_MS:
                p99_ms = await self._p99_ms(rate, step_s, say)
            return p99_ms < P99_LIMIT_MS

        return await highest(bears, first=first)

    async def _p99_ms(self, rate: float, step_s: float, say: Say) -> float:
        """Infinite where a request failed."""
        run = await self.run(rate, step_s)
        p99_ms = run.p99_ms(since_s=min(WARM_UP_S, step_s / UNCOUNTED_PART)) if run.errors == 0 else math.inf
        verdict = "borne" if p99_ms < P99_LIMIT_MS else "too much"
        say(f"{rate:7.0f}/s   p99 {p99_ms:9.1f} ms   errors {run.errors:5}   {verdict}")
        return p99_ms

    async def _calm(self) -> None:
        """Until a second of little load is answered as usual: an overload may have left work in queues. Gives up after a minute."""
        deadline = time.monotonic() + CALM_LIMIT_S
        while time.monotonic() < deadline:
            run = await self._generator.run(CALM_RATE, 1.0)
            if run.errors == 0 and percentile(run.took_ms(), 50) < CALM_MS:
                return


@asynccontextmanager
async def trial_of(target: DemoTarget, services: Mapping[str, str]) -> AsyncIterator[Trial]:
    """Opens the shop there and warms everything up. `services` are addresses whose /metrics tell their memory."""
    chance = random.Random(SEED)
    shop = await open_shop(target)
    async with session() as http:
        requests = Requests(http, target.gateway_url, shop, chance=chance)
        generator = Generator(http, requests, services, chance=chance)
        try:
            await generator.run(WARM_UP_RATE, WARM_UP_S)
            yield Trial(generator)
        finally:
            await requests.end()


@asynccontextmanager
async def own_trial() -> AsyncIterator[Trial]:
    """At a stack of its own, whose mails go to a sink in a process of its own."""
    async with SinkProcess(None) as sink:
        mails = {"SMTP_PORT": str(sink.port), "MAIL_DELAY": OWN_MAIL_DELAY_S}
        async with running_parley(notifier=mails) as parley:
            target = DemoTarget(parley.gateway_url, "", parley.vhost.url("shop"), float(OWN_MAIL_DELAY_S), parley.mint)
            addresses = {name: process.url for name, process in parley.services.items()}
            async with trial_of(target, addresses) as trial:
                yield trial
