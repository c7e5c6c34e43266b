"""Full queues and the programs that empty them: threads' workers and the loop, each drain with a virtual host and a database of its own.

RabbitMQ and MongoDB are private to the run. Where several workers are compared, they are started, ready, and then stand still (SIGSTOP)
while their queue is filled, so that a drain has neither their start nor the filling in it, and all of them begin in the same moment.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiormq
from pymongo import AsyncMongoClient

from bench.cpu import CpuLimit, cpu_s, processes_of
from bench.filling import fill
from bench.rounds import Row
from bench.stack import made_snapshot
from services.threads import indexes
from services.threads.orders import Orders
from services.threads.projection import Projection
from shared import mongo, topology
from shared.mongo import Database, Document
from shared.orders import OrderSnapshot
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import CREDENTIALS
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit, Vhost, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

THREADS: Final = 500
DRAINED_WITHIN_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain came to: entries a second, CPU in microseconds an entry by program, collisions an entry, and how long it took."""

    rate: float
    cpu_us: dict[str, float]
    took_s: float
    collisions: float = 0.0


@dataclass
class Stage:
    """The servers of one run, and what was measured on them so far, by name."""

    rabbit: SharedRabbit
    server: SharedMongo
    databases: FreshDatabases
    directory: Path
    drains: dict[str, list[Drained]] = field(default_factory=dict)

    def rates(self, name: str) -> list[float]:
        return [each.rate for each in self.drains[name]]

    def said(self, name: str) -> str:
        """Medians, for a note: how long a drain took, and the CPU that an entry takes."""
        drains = self.drains[name]
        programs = {program: statistics.median(each.cpu_us[program] for each in drains) for program in drains[0].cpu_us}
        costs = ", ".join(f"{program} {cost:.0f}" for program, cost in programs.items())
        return f"{statistics.median(each.took_s for each in drains):.1f} s; us of CPU a message: {costs}"

    def collisions(self, name: str) -> str:
        return f"{statistics.median(each.collisions for each in self.drains[name]):.2g}"

    def beside(
        self, name: str, what: str, ours: str, baseline_is: str, baseline: str, *, aim: float, note: str = ""
    ) -> Row:
        """Drains of one kind beside those of another, round by round."""
        mine, theirs = self.rates(ours), self.rates(baseline)
        ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
        return Row(name, what, baseline_is, "/s", mine, theirs, ratios, aim, note=note)


@contextmanager
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        directory = Path(name)
        rabbit = stack.enter_context(shared_rabbit(directory))
        server = stack.enter_context(shared_mongo(directory))
        databases = FreshDatabases(server)
        stack.callback(databases.drop)
        yield Stage(rabbit, server, databases, directory)


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual host and a database that one drain has for itself."""

    vhost: Vhost
    database: str
    mongo_url: str

    @classmethod
    def on(cls, stage: Stage) -> "Place":
        return cls(make_vhost(stage.rabbit), stage.databases("bench"), stage.server.url)

    def store(self) -> Database:
        return mongo.database(AsyncMongoClient[Document](self.mongo_url, tz_aware=True), self.database)

    def environment(self) -> dict[str, str]:
        return {
            "AMQP_URL": self.vhost.url("threads"),
            "MONGO_URL": self.mongo_url,
            "MONGO_DATABASE": self.database,
            "ROLES": "worker",
            "LOG_LEVEL": "info",
            "TOKEN_ISSUER": "bench",
            "TOKEN_DEMO_SECRET": CREDENTIALS.token_secret,
            "LINK_SECRET": CREDENTIALS.link_secret,
            "ADDRESS_KEY": CREDENTIALS.address_key,
        }


async def worker_drains(
    stage: Stage,
    name: str,
    *,
    messages: int,
    until: int | None = None,
    workers: int = 1,
    threads: int = THREADS,
    quota_cores: float | None = None,
    filled_before: bool = False,
) -> Place:
    """One drain by so many workers, each held to a part of a core where that is said; answers where its documents are.

    The servers are not held. `until` ends the drain after so many messages, with the rest still in the queue. `filled_before` is for
    queues that take long to fill: RabbitMQ closes the connection of a worker that stands still for two heartbeats. Such a worker
    starts when the queue is full, and the first stored entry says when it works.
    """
    place = Place.on(stage)
    store = place.store()
    await _seed(store, threads)
    processes = [
        ServiceProcess("threads", place.environment(), directory=stage.directory, label=f"worker-{number}")
        for number in range(workers)
    ]
    with ExitStack() as stack:
        if filled_before:
            await fill(place.vhost.url("gateway"), messages, orders=threads)
        for process in processes:
            stack.callback(process.kill)
            process.start()
        if not filled_before:
            await _stand_still(processes)
            await fill(place.vhost.url("gateway"), messages, orders=threads)
        if quota_cores is not None:
            for process in processes:
                stack.enter_context(CpuLimit(process.pid, cores=quota_cores))
        for process in processes:
            process.resume()
        drained = await _drain(stage, place.vhost, store, until or messages, [process.pid for process in processes])
        collisions = sum(_metric(process, "parley_commit_collisions_total") for process in processes)
        if until is None:
            for process in processes:
                process.term()
            await _require_all(place, store, messages)
    place.vhost.delete()
    await store.client.close()
    done = Drained(drained.rate, drained.cpu_us, drained.took_s, collisions / (until or messages))
    stage.drains.setdefault(name, []).append(done)
    return place


async def _stand_still(workers: Sequence[ServiceProcess]) -> None:
    """Returns when all of them are ready and stopped (SIGSTOP)."""
    await asyncio.gather(*(worker.ready() for worker in workers))
    for worker in workers:
        worker.pause()


async def loop_drains(stage: Stage, name: str, *, messages: int) -> None:
    """One drain by the loop, whose one event goes where our two go: into the stream and the notifier's queue."""
    place = Place.on(stage)
    _bind(place.vhost, topology.EVENTS, topology.NOTIFIER_QUEUE)
    store = place.store()
    await _seed(store, THREADS)
    await fill(place.vhost.url("gateway"), messages, orders=THREADS)
    with ExitStack() as stack:
        process = await asyncio.create_subprocess_exec(*_baseline("loop"), env={**os.environ, **place.environment()})
        stack.callback(process.kill)
        drained = await _drain(stage, place.vhost, store, messages, [process.pid])
    await process.wait()
    place.vhost.delete()
    await store.client.close()
    stage.drains.setdefault(name, []).append(drained)


async def bulk_writes(stage: Stage, name: str, source: Place) -> None:
    """The documents that a worker left, written in groups into another database, as fast as MongoDB takes them."""
    place = Place.on(stage)
    process = await asyncio.create_subprocess_exec(
        *_baseline("bulk", source.database),
        env={**os.environ, **place.environment()},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()
    place.vhost.delete()
    stage.drains.setdefault(name, []).append(Drained(float(printed), {}, 0.0))


def _baseline(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench.baselines.threads", *arguments]


def _bind(vhost: Vhost, exchange: str, queue: str) -> None:
    path = f"/bindings/{vhost.name}/e/{exchange}/q/{queue}"
    vhost.server.address.management.call("POST", path, {"routing_key": "#"})


async def _seed(store: Database, threads: int) -> None:
    """The orders, as if their shop had told us."""
    await indexes.ensure(store)
    orders, projection = Orders(store), Projection(store)

    async def tell(order: OrderSnapshot) -> None:
        await orders.keep(order)
        await projection.write_order(order)

    told = [made_snapshot(number, customer=number, seller=number) for number in range(threads)]
    await asyncio.gather(*(tell(order) for order in told))
    # What the loop counts in, and takes its addresses from.
    await store["threads"].update_many({}, [{"$set": {"snapshot": {"$literal": told[0].model_dump(mode="json")}}}])


async def _drain(stage: Stage, vhost: Vhost, store: Database, messages: int, pids: Sequence[int]) -> Drained:
    """From the first entry that is there to the last that is stored, announced to the notifier's queue, and finished."""
    programs: dict[str, Sequence[int]] = {
        "worker": pids,
        "RabbitMQ": processes_of("beam.smp", str(stage.directory)),
        "MongoDB": processes_of("mongod", str(stage.directory)),
    }
    connection = await aiormq.connect(vhost.url("operator"))
    channel = await connection.channel()

    async def stored() -> int:
        return await store["entries"].estimated_document_count()

    async def announced() -> int:
        """How many, once they are enough."""
        declared = await channel.queue_declare(topology.NOTIFIER_QUEUE, passive=True)
        count = declared.message_count or 0
        return count if count >= messages else 0

    async def finished() -> bool:
        return await store["entries"].find_one({"unfinished": True}) is None

    await eventually(stored, timeout_s=DRAINED_WITHIN_S, what="a first entry")
    began, cpu, before = time.perf_counter(), {name: cpu_s(each) for name, each in programs.items()}, await stored()
    done = await eventually(announced, timeout_s=DRAINED_WITHIN_S, what=f"{messages:,} announced entries")
    if done == messages:
        await eventually(finished, timeout_s=DRAINED_WITHIN_S, what="nothing unfinished")
    took_s = time.perf_counter() - began
    used = {name: (cpu_s(each) - cpu[name]) / (done - before) * 1e6 for name, each in programs.items()}
    await connection.close()
    return Drained((done - before) / took_s, used, took_s)


async def _require_all(place: Place, store: Database, messages: int) -> None:
    assert await place.vhost.depth(topology.COMMANDS_QUEUE) == 0, "not everything was acknowledged"
    assert await store["entries"].count_documents({}) == messages, "not every message became one entry"


def _metric(process: ServiceProcess, name: str) -> float:
    lines = process.text_of("/metrics").splitlines()
    return float(next(each.rpartition(" ")[2] for each in lines if each.startswith(name)))
