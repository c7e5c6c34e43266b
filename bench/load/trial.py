"""A stack under load: a given one, or one of its own; the highest rate that it bears, and runs at chosen rates."""

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from bench.load.figures import Run
from bench.load.generator import Generator, Progress
from bench.load.people import open_shop
from bench.load.requests import Requests, session
from bench.load.search import Found, highest
from bench.sinks import SinkProcess
from bench.stack import running_parley
from deploy.local.demo_target import DemoTarget

P99_LIMIT_MS: Final = 100.0
STEP_S: Final = 15.0
WARM_UP_S: Final = 3.0
WARM_UP_RATE: Final = 20.0
CALM_LIMIT_S: Final = 60.0
CALM_RATE: Final = 10.0
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

    async def top_rate(self, say: Say, *, step_s: float = STEP_S) -> Found:
        """The highest rate without an error and with its p99 below 100 ms; the first seconds of each step are not counted.

        A rate that is not borne is tried once more, since something else on the machine may have had that moment.
        """

        async def bears(rate: float) -> bool:
            return await self._bears(rate, step_s, say) or await self._bears(rate, step_s, say)

        return await highest(bears)

    async def _bears(self, rate: float, step_s: float, say: Say) -> bool:
        run = await self.run(rate, step_s)
        p99_ms = run.p99_ms(since_s=min(WARM_UP_S, step_s / 2))
        is_borne = p99_ms < P99_LIMIT_MS and run.errors == 0
        say(f"{rate:7.0f}/s   p99 {p99_ms:9.1f} ms   errors {run.errors:5}   {'borne' if is_borne else 'too much'}")
        return is_borne

    async def _calm(self) -> None:
        """Until a second of little load is answered as usual: an overload may have left work in queues. Gives up after a minute."""
        deadline = time.monotonic() + CALM_LIMIT_S
        while time.monotonic() < deadline:
            run = await self._generator.run(CALM_RATE, 2.0)
            if run.errors == 0 and run.p99_ms() < P99_LIMIT_MS:
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


async def half_of_the_top_rate_beside_idle(
    say: Say, *, rounds: int, run_s: float = STEP_S
) -> tuple[list[float], list[float], Found]:
    """p99 at half of the top rate and at 10 requests a second, in turn, in ms; and the top rate."""
    async with own_trial() as trial:
        top = await trial.top_rate(say)
        half: list[float] = []
        calm: list[float] = []
        for _ in range(rounds):
            half.append((await trial.run(top.borne / 2, run_s)).p99_ms())
            calm.append((await trial.run(CALM_RATE, run_s)).p99_ms())
        return half, calm, top
