"""B9: what being watched costs: the same posts to five Parleys on the same servers, in turn.

`python -m bench.telemetry`. Off: log level `error`, no traces, nobody asks for metrics. On: JSON logs at `info`, `/metrics` of each service
read every five seconds, traces sampled at 1 %, and at 100 %, exported by OTLP to a process that takes them. Compared is CPU time of a
post over the gateway, threads and the notifier, from HTTP to the mail server's 250, because it holds on a machine that does other things.

A turn is 200 posts, and one turn alone says little: two Parleys with the same settings differ by one or two per cent for good, as processes
do, and by more from turn to turn. So there are two that are off and two that are on at 1 %; a round has four turns of each, in changing
order, and compares their sums; the figure is the median of the rounds. The note says what the two that are off differ by.
"""

import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, cast

from bench.posting import Cost, Poster, Posters
from bench.rounds import ROUNDS, Row, line
from bench.sinks import SinkProcess
from bench.stack import START_LIMIT_S, made_orders, place
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.services import SERVICES
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import Parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit, make_vhost
from tests.servers.smtp import SmtpServer

ORDERS: Final = 200
TURNS: Final = 4
ROUNDS_AT_100: Final = 2
AIM: Final = 0.95
NO_AIM: Final = 0.0
SCRAPE_EVERY_S: Final = 5.0
OFF, AT_1, AT_100 = "all off", "traces sampled at 1 %", "traces sampled at 100 %"
PARLEYS: Final = (OFF, AT_1, OFF, AT_1, AT_100)


def traced(collector_port: int, sampled: float) -> dict[str, str]:
    return {
        "LOG_LEVEL": "info",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector_port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{sampled:g}",
    }


class Watched:
    """A Parley with its posters; where it is scraped, that happens once in five seconds of posting."""

    def __init__(self, parley: Parley, posters: Posters, *, scraped: bool) -> None:
        self._parley, self._posters = parley, posters
        self._scraped_in_s = 0.0 if scraped else math.inf
        self._costs: list[Cost] = []
        self.rounds: list[Cost] = []

    async def warm(self) -> None:
        await self._posters.round(times=2)

    async def turn(self) -> None:
        due = self._scraped_in_s <= 0
        scraping = asyncio.create_task(asyncio.to_thread(self._scrape)) if due else None
        began = time.monotonic()
        self._costs.append(await self._posters.round())
        if scraping is not None:
            await scraping
            self._scraped_in_s += SCRAPE_EVERY_S
        self._scraped_in_s -= time.monotonic() - began

    def end_round(self) -> None:
        self.rounds.append(_mean(self._costs))
        self._costs.clear()

    def _scrape(self) -> None:
        for process in self._parley.services.values():
            process.text_of("/metrics")


@asynccontextmanager
async def collecting() -> AsyncIterator[int]:
    """The port of a collector in a process of its own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.baselines.collector", str(port))
    try:
        yield port
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def watched(
    rabbit: SharedRabbit, mongo: SharedMongo, sink: SinkProcess, directory: Path, settings: Mapping[str, str]
) -> AsyncIterator[Watched]:
    """One of each service with these settings, ready, and 200 customers with an order each."""
    # Of the mail server a Parley wants to know the port alone.
    smtp = cast(SmtpServer, sink)
    databases = FreshDatabases(mongo)
    parley = Parley(vhost=make_vhost(rabbit), mongo=mongo, databases=databases, smtp=smtp, directory=directory)
    orders = made_orders(ORDERS, customers=ORDERS, sellers=ORDERS)
    try:
        for service in SERVICES:
            parley.add(service, **settings).start()
        await parley.ready(timeout_s=START_LIMIT_S)
        await place(parley.vhost.url("shop"), parley.gateway_url, parley.admin(), orders)
        posters = [Poster(each.order_id, parley.customer(each.customer.id)) for each in orders]
        pids = [process.pid for process in parley.services.values()]
        yield Watched(
            parley, Posters(parley.gateway_url, posters, sink, pids), scraped="OTEL_TRACES_SAMPLER" in settings
        )
    finally:
        parley.kill()
        databases.drop()


async def measure(*, rounds: int = ROUNDS) -> list[Row]:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        with shared_rabbit(directory) as rabbit, shared_mongo(directory) as mongo:
            async with AsyncExitStack() as running:
                sink = await running.enter_async_context(SinkProcess(None))
                port = await running.enter_async_context(collecting())
                settings = {OFF: {"LOG_LEVEL": "error"}, AT_1: traced(port, 0.01), AT_100: traced(port, 1.0)}
                parleys = [
                    await running.enter_async_context(
                        watched(rabbit, mongo, sink, directory / f"parley-{number}", settings[name])
                    )
                    for number, name in enumerate(PARLEYS)
                ]
                for parley in parleys:
                    await parley.warm()
                for number in range(rounds):
                    await _round(parleys if number < ROUNDS_AT_100 else parleys[:-1])
    return _rows(parleys)


async def _round(parleys: Sequence[Watched]) -> None:
    """A B A B, then B A B A: whatever grows or tires meanwhile falls on all alike."""
    for turn in range(TURNS):
        for parley in parleys if turn % 2 == 0 else reversed(parleys):
            await parley.turn()
    for parley in parleys:
        parley.end_round()


def _rows(parleys: Sequence[Watched]) -> list[Row]:
    first_off, first_on, second_off, second_on, at_100 = (parley.rounds for parley in parleys)
    off, on = (
        [_mean(pair) for pair in zip(*both, strict=True)] for both in ((first_off, second_off), (first_on, second_on))
    )
    apart = statistics.median(
        one.cpu_us_a_post / other.cpu_us_a_post for one, other in zip(first_off, second_off, strict=True)
    )
    return [
        _row(AT_1, on, off, AIM, f"the two that are off, one : the other, {apart:.3f}"),
        _row(AT_100, at_100, off, NO_AIM, "no aim, for comparison"),
    ]


def _mean(costs: Sequence[Cost]) -> Cost:
    """Of turns with the same number of posts each."""
    return Cost(
        statistics.fmean(cost.cpu_us_a_post for cost in costs),
        statistics.harmonic_mean([cost.posts_a_second for cost in costs]),
    )


def _row(name: str, on: Sequence[Cost], off: Sequence[Cost], aim: float, note: str) -> Row:
    pairs = list(zip(on, off, strict=False))
    rate = statistics.median(mine.posts_a_second / theirs.posts_a_second for mine, theirs in pairs)
    return Row(
        "B9",
        f"metrics read, JSON logs, {name}",
        OFF,
        "us a post",
        [mine.cpu_us_a_post for mine, _ in pairs],
        [theirs.cpu_us_a_post for _, theirs in pairs],
        [theirs.cpu_us_a_post / mine.cpu_us_a_post for mine, theirs in pairs],
        aim,
        note=f"posts a second, on : off, {rate:.2f}; {note}",
    )


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(line(row))
