"""How fast threads' worker drains its queue: beside a concurrent loop, beside MongoDB alone, with more workers, on one thread.

`python -m bench.threads [b2 b4 held]`. Each round fills an empty queue with posts, starts the workers, and takes the time from the first
stored entry to the moment when all are stored, announced and finished. RabbitMQ and MongoDB are private; nothing else runs beside.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiormq
import aiormq.abc
from pamqp.commands import Basic
from pymongo import AsyncMongoClient

from bench.cpu import CpuLimit, cpu_s, processes_of
from bench.rounds import ROUNDS, Row, line
from services.threads import indexes
from services.threads.orders import Orders
from services.threads.projection import Projection
from shared import mongo, topology
from shared.callers import Caller
from shared.commands import PostMessage, routing_key
from shared.mongo import Database, Document
from tests.made import post, snapshot
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import CREDENTIALS
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit, Vhost, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

MESSAGES: Final = 20_000
MESSAGES_OF_THE_LOOP: Final = 4_000
MESSAGES_OF_SEVERAL: Final = 8_000
MESSAGES_OF_HELD: Final = 3_000
THREADS: Final = 500
QUOTA_CORES: Final = 0.25
IN_FLIGHT: Final = 512
LIMIT_S: Final = 120
TEXT: Final = "Where is my order? It was to arrive last week, and nobody has told me anything about it since then. "
CUSTOMER: Final = Caller(role="customer", id="c-7", name="Ada")
SELLER: Final = Caller(role="seller", id="login-1", name="Bob", seller_id="s-1")


@dataclass(frozen=True, slots=True)
class Drained:
    """What one drain came to: entries a second, CPU in microseconds an entry by program, collisions an entry."""

    rate: float
    cpu_us: dict[str, float]
    collisions: float = 0.0


@dataclass
class Stage:
    """The servers of one run, and what was measured on them so far."""

    rabbit: SharedRabbit
    server: SharedMongo
    databases: FreshDatabases
    directory: Path
    drains: dict[str, list[Drained]] = field(default_factory=dict)
    bulk: list[float] = field(default_factory=list)

    def rates(self, name: str) -> list[float]:
        return [each.rate for each in self.drains[name]]

    def cpu(self, name: str) -> str:
        """Medians of the CPU that an entry takes."""
        drains = self.drains[name]
        programs = {program: statistics.median(each.cpu_us[program] for each in drains) for program in drains[0].cpu_us}
        return "us of CPU a message: " + ", ".join(f"{program} {cost:.0f}" for program, cost in programs.items())

    def collisions(self, name: str) -> str:
        return f"{statistics.median(each.collisions for each in self.drains[name]):.2g}"


@dataclass(frozen=True, slots=True)
class Place:
    """A virtual host and a database that one drain has for itself."""

    vhost: Vhost
    database: str
    mongo_url: str

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
        }


async def worker_drains(
    stage: Stage,
    name: str,
    *,
    messages: int,
    workers: int = 1,
    threads: int = THREADS,
    quota_cores: float | None = None,
) -> Database:
    """One round of ours; answers the database as it then stands."""
    place = Place(make_vhost(stage.rabbit), stage.databases("bench"), stage.server.url)
    store = mongo.database(AsyncMongoClient[Document](stage.server.url, tz_aware=True), place.database)
    await _seed(store, threads)
    await _fill(place.vhost, messages, threads)
    processes = [
        ServiceProcess("threads", place.environment(), directory=stage.directory, label=f"worker-{number}")
        for number in range(workers)
    ]
    with ExitStack() as stack:
        for process in processes:
            stack.callback(process.kill)
            process.start()
            if quota_cores is not None:
                stack.enter_context(CpuLimit(process.pid, cores=quota_cores))
        drained = await _drain(stage, place.vhost, store, messages, [process.pid for process in processes])
        collisions = sum(_metric(process, "parley_commit_collisions_total") for process in processes)
        for process in processes:
            process.term()
    assert await place.vhost.depth(topology.COMMANDS_QUEUE) == 0, "not everything was acknowledged"
    assert await store["entries"].count_documents({}) == messages
    place.vhost.delete()
    stage.drains.setdefault(name, []).append(Drained(drained.rate, drained.cpu_us, collisions / messages))
    return store


async def loop_drains(stage: Stage) -> None:
    """One round of the loop, whose one event goes where our two go: into the stream and the notifier's queue."""
    place = Place(make_vhost(stage.rabbit), stage.databases("bench"), stage.server.url)
    _bind(place.vhost, topology.EVENTS, topology.NOTIFIER_QUEUE)
    store = mongo.database(AsyncMongoClient[Document](stage.server.url, tz_aware=True), place.database)
    await _seed(store, THREADS)
    await _fill(place.vhost, MESSAGES_OF_THE_LOOP, THREADS)
    program = _program(stage, place, "loop")
    with ExitStack() as stack:
        process = await asyncio.create_subprocess_exec(*program, env={**os.environ, **place.environment()})
        stack.callback(process.kill)
        drained = await _drain(stage, place.vhost, store, MESSAGES_OF_THE_LOOP, [process.pid])
    await process.wait()
    place.vhost.delete()
    stage.drains.setdefault("loop", []).append(drained)


async def bulk_writes(stage: Stage, source: Database) -> None:
    place = Place(make_vhost(stage.rabbit), stage.databases("bench"), stage.server.url)
    program = _program(stage, place, "bulk", source.name)
    process = await asyncio.create_subprocess_exec(
        *program, env={**os.environ, **place.environment()}, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    place.vhost.delete()
    stage.bulk.append(float(printed))


def _program(stage: Stage, place: Place, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench.baselines.threads", *arguments]


def _bind(vhost: Vhost, exchange: str, queue: str) -> None:
    path = f"/bindings/{vhost.name}/e/{exchange}/q/{queue}"
    vhost.server.address.management.call("POST", path, {"routing_key": "#"})


async def _seed(store: Database, threads: int) -> None:
    """The orders, as if their shop had told us."""
    await indexes.ensure(store)
    orders, projection = Orders(store), Projection(store)
    for number in range(threads):
        order = snapshot(f"order-{number}")
        await orders.keep(order)
        await projection.write_order(order)
        # What the loop counts in, and takes its addresses from.
    await store["threads"].update_many({}, [{"$set": {"snapshot": {"$literal": order.model_dump(mode="json")}}}])


async def _fill(vhost: Vhost, messages: int, threads: int) -> None:
    """As many posts in each thread, by both parties, shuffled; nobody waits for the answers."""
    connection = await aiormq.connect(vhost.url("gateway"))
    try:
        channel = await connection.channel()
        numbers = random.Random(messages).sample(range(messages), messages)  # the same order every time
        for start in range(0, messages, IN_FLIGHT):
            some = numbers[start : start + IN_FLIGHT]
            await asyncio.gather(*(_publish(channel, _command(number, threads)) for number in some))
    finally:
        await connection.close()


def _command(number: int, threads: int) -> PostMessage:
    by = SELLER if number // threads % 2 else CUSTOMER
    return post(f"{number}. {TEXT}", order_id=f"order-{number % threads}", by=by, time=datetime.now(UTC))


async def _publish(channel: aiormq.abc.AbstractChannel, command: PostMessage) -> None:
    properties = Basic.Properties(
        content_type="application/cloudevents+json", delivery_mode=2, message_id=command.id, user_id="gateway"
    )
    await channel.basic_publish(
        command.model_dump_json(exclude_none=True).encode(),
        exchange=topology.COMMANDS,
        routing_key=routing_key(command),
        properties=properties,
        mandatory=True,
        wait=False,
    )


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

    async def announced() -> bool:
        declared = await channel.queue_declare(topology.NOTIFIER_QUEUE, passive=True)
        return (declared.message_count or 0) >= messages

    async def finished() -> bool:
        return await store["entries"].find_one({"unfinished": True}) is None

    await eventually(stored, timeout_s=LIMIT_S)
    began, cpu, before = time.perf_counter(), {name: cpu_s(each) for name, each in programs.items()}, await stored()
    await eventually(announced, timeout_s=LIMIT_S)
    await eventually(finished, timeout_s=LIMIT_S)
    took_s, done = time.perf_counter() - began, messages - before
    used = {name: (cpu_s(each) - cpu[name]) / done * 1e6 for name, each in programs.items()}
    await connection.close()
    return Drained(done / took_s, used)


def _metric(process: ServiceProcess, name: str) -> float:
    lines = process.text_of("/metrics").splitlines()
    return float(next(each.rpartition(" ")[2] for each in lines if each.startswith(name)))


async def against_baselines(stage: Stage) -> list[Row]:
    """B2 and B3."""
    for _ in range(ROUNDS):
        store = await worker_drains(stage, "ours", messages=MESSAGES)
        await loop_drains(stage)
        await bulk_writes(stage, store)
    ours, theirs = stage.rates("ours"), stage.rates("loop")
    of_loop = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    of_bulk = [mine / other for mine, other in zip(ours, stage.bulk, strict=True)]
    what = f"drain of {MESSAGES:,} posts in {THREADS} threads"
    baseline_is = "loop of 64: find_one_and_update, insert, publish, ack"
    note = f"{stage.cpu('ours')}; the loop ({MESSAGES_OF_THE_LOOP:,} posts): {stage.cpu('loop')}"
    return [
        Row("B2", what, baseline_is, "/s", ours, theirs, of_loop, 4, note=note),
        Row("B3", what, "the same documents, grouped bulk writes", "/s", ours, stage.bulk, of_bulk, 0.4),
    ]


async def with_more_workers(stage: Stage) -> list[Row]:
    """B4, as fast as the machine goes."""
    for _ in range(ROUNDS):
        for workers in (1, 2, 4):
            await worker_drains(stage, f"{workers}", messages=MESSAGES_OF_SEVERAL, workers=workers)
        await worker_drains(stage, "hot", messages=MESSAGES_OF_SEVERAL, threads=1)
    what = f"drain of {MESSAGES_OF_SEVERAL:,} posts"
    return [
        *(_beside(stage, f"{what}, {workers} workers", f"{workers}", "1 worker", "1", aim=0.9) for workers in (2, 4)),
        _beside(stage, f"{what}, all in one thread", "hot", f"in {THREADS} threads", "1", aim=0.5),
    ]


async def with_little_cpu(stage: Stage) -> list[Row]:
    """B4, with workers that are held to a part of a core each, so that it is they and not the machine who are the limit."""
    for _ in range(ROUNDS):
        for workers in (1, 2):
            await worker_drains(
                stage, f"held {workers}", messages=MESSAGES_OF_HELD, workers=workers, quota_cores=QUOTA_CORES
            )
    what = f"drain of {MESSAGES_OF_HELD:,} posts, 2 workers of {QUOTA_CORES:g} core each"
    return [_beside(stage, what, "held 2", "1 such worker", "held 1", aim=1.7)]


def _beside(stage: Stage, what: str, ours: str, baseline_is: str, baseline: str, *, aim: float) -> Row:
    mine, theirs = stage.rates(ours), stage.rates(baseline)
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    note = f"collisions a message {stage.collisions(ours)}; {stage.cpu(ours)}"
    return Row("B4", what, baseline_is, "/s", mine, theirs, ratios, aim, note=note)


PARTS: Final = {"b2": against_baselines, "b4": with_more_workers, "held": with_little_cpu}


async def measure(parts: Sequence[str] = tuple(PARTS)) -> list[Row]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        rabbit = stack.enter_context(shared_rabbit(directory))
        server = stack.enter_context(shared_mongo(directory))
        databases = FreshDatabases(server)
        stack.callback(databases.drop)
        stage = Stage(rabbit, server, databases, directory)
        return [row for part in parts for row in await PARTS[part](stage)]


if __name__ == "__main__":
    for row in asyncio.run(measure(sys.argv[1:] or tuple(PARTS))):
        print(line(row))
