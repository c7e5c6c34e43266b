"""B9: what being watched costs: the same posts to three Parleys on the same servers, in turn.

`python -m bench.telemetry`. Off: log level `error`, no traces, nobody asks for metrics. On: JSON logs at `info`, `/metrics` of each service
read every five seconds, traces sampled at 1 %, and at 100 %, exported by OTLP to a process that takes them. Compared is CPU time of a
post over the gateway, threads and the notifier, from HTTP to the mail server's 250, because it holds on a machine that does other things.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
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

ORDERS: Final = 300
AIM: Final = 0.95
NO_AIM: Final = 0.0
SCRAPE_EVERY_S: Final = 5.0


def traced(collector_port: int, sampled: float) -> dict[str, str]:
    return {
        "LOG_LEVEL": "info",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{collector_port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{sampled:g}",
    }


class Watched:
    """A Parley with its posters; where it is scraped, that goes on while they post."""

    def __init__(self, parley: Parley, posters: Posters, *, scraped: bool) -> None:
        self._parley, self._posters, self._scraped = parley, posters, scraped
        self.costs: list[Cost] = []

    async def warm(self) -> None:
        await self._posters.round()

    async def round(self) -> None:
        scraping = asyncio.create_task(self._scrape()) if self._scraped else None
        self.costs.append(await self._posters.round(times=2))
        if scraping is not None:
            scraping.cancel()
            await asyncio.gather(scraping, return_exceptions=True)

    async def _scrape(self) -> None:
        while True:
            for process in self._parley.services.values():
                await asyncio.to_thread(process.text_of, "/metrics")
            await asyncio.sleep(SCRAPE_EVERY_S)


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
    """One of each service with these settings, ready, and 300 customers with an order each."""
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
                settings = {"off": {"LOG_LEVEL": "error"}, "1 %": traced(port, 0.01), "100 %": traced(port, 1.0)}
                each = {
                    name: await running.enter_async_context(
                        watched(rabbit, mongo, sink, directory / name.replace(" %", ""), own)
                    )
                    for name, own in settings.items()
                }
                for parley in each.values():
                    await parley.warm()
                for _ in range(rounds):
                    for parley in each.values():
                        await parley.round()
                off = each.pop("off")
                return [_row(name, on, off) for name, on in each.items()]


def _row(name: str, on: Watched, off: Watched) -> Row:
    ours, baseline = ([cost.cpu_us_a_post for cost in parley.costs] for parley in (on, off))
    rates = [mine.posts_a_second / theirs.posts_a_second for mine, theirs in zip(on.costs, off.costs, strict=True)]
    return Row(
        "B9",
        f"metrics read, JSON logs, traces sampled at {name}",
        "all off",
        "us a post",
        ours,
        baseline,
        [theirs / mine for mine, theirs in zip(ours, baseline, strict=True)],
        AIM if name == "1 %" else NO_AIM,
        note=f"posts a second, on : off, {sorted(rates)[len(rates) // 2]:.2f}"
        + ("" if name == "1 %" else "; no aim, for comparison"),
    )


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(line(row))
