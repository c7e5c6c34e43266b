"""`make chaos`: DURATION_S (120), SEED (random, printed), FAULTS (names, or all), RATE (posts a second). Exit status 1 on any difference."""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aio_pika.abc import AbstractIncomingMessage

from shared import logs, topology
from shared.delivery import Outgoing, Publisher
from shared.mongo import connect, database
from shared.orders import Customer, Seller
from tests.chaos.audit import Verdict, audit
from tests.chaos.faults import Faults
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load, Person
from tests.e2e.client import Client, Clients
from tests.made import snapshot
from tests.servers.mongodb import FreshDatabases
from tests.servers.parley import Parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import make_vhost
from tests.servers.smtp import SmtpServer
from tests.servers.waiting import eventually

ORDERS = 12
POISON = 3
QUIET_LIMIT_S = 120
EVENTS_QUEUE = "shop-chaos"
# A mail whose sender was killed between DATA and its mark waits for the end of its lease: a short one, so that the run can wait too.
SERVICES: dict[str, dict[str, str]] = {
    "threads": {},
    "notifier": {"SEND_LIMIT_S": "10", "LEASE_S": "15"},
    "gateway": {},
}


async def chaos(*, duration_s: float, seed: int, chosen: set[str] | None, rate: float) -> bool:
    """One run; whether everything was as promised."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        directory = Path(scratch)
        async with _parley(directory) as parley:
            async with aiohttp.ClientSession() as session:
                await _seed(parley, Clients(parley, session))
            ledger = Ledger(directory / "ledger.jsonl")
            load = Load(ledger=ledger, chance=chance, rate_per_s=rate / (3 * ORDERS // 2))
            faults = Faults(parley, chance=chance, chosen=chosen, zombies=duration_s >= 300)
            began = time.monotonic()
            await _run(parley, load, faults, duration_s=duration_s)
            settled_s = await _quiet(parley)
            ledger.close()
            verdict = await _audited(parley, ledger)
            _tell(seed, time.monotonic() - began, settled_s, load, faults, verdict)
            return verdict.is_clean


@asynccontextmanager
async def _parley(directory: Path) -> AsyncIterator[Parley]:
    """Two of each service on a broker and a database of their own."""
    smtp = SmtpServer()
    smtp.start()
    with shared_rabbit(directory) as rabbit, shared_mongo(directory) as mongo:
        parley = Parley(
            vhost=make_vhost(rabbit), mongo=mongo, databases=FreshDatabases(mongo), smtp=smtp, directory=directory
        )
        try:
            for service, settings in SERVICES.items():
                parley.add(service, **settings).start()
                parley.add(service, label=f"{service}-2", **settings).start()
            await parley.ready(timeout_s=60)
            yield parley
        finally:
            parley.kill()
            smtp.close()


async def _seed(parley: Parley, clients: Clients) -> None:
    """Orders, a queue that hears every event, and poison: order events that nobody can read."""
    async with await parley.vhost.connect() as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(topology.EVENTS, "#")
    shop = Publisher(parley.vhost.url("shop"), name="chaos-shop")
    await shop.connected()
    for number in range(POISON):
        await shop.publish(Outgoing(topology.SHOP_ORDERS, "order.updated", b"poison", message_id=f"poison-{number}"))
    await shop.close()
    for number in range(ORDERS):
        await clients.put_order(
            snapshot(
                f"o-{number}",
                customer=Customer(id=f"c-{number}", name=f"Customer {number}", email=f"c-{number}@example.com"),
                seller=Seller(id=f"s-{number % 2}", name="Seller", email=f"s-{number % 2}@example.com"),
            )
        )


async def _run(parley: Parley, load: Load, faults: Faults, *, duration_s: float) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        people = [asyncio.create_task(load.live(person)) for person in _people(parley, session)]
        breaking = asyncio.create_task(faults.run(load.over, every_s=1.0))
        progress = asyncio.create_task(_progress(load, faults, duration_s))
        await asyncio.wait([*people, breaking], timeout=duration_s, return_when=asyncio.FIRST_EXCEPTION)
        load.over.set()
        await asyncio.gather(breaking, *people)
        progress.cancel()


def _people(parley: Parley, session: aiohttp.ClientSession) -> list[Person]:
    urls = [process.url for process in parley.services.values() if process.service == "gateway"]

    def at_all(token: str) -> list[Client]:
        return [Client(session, url, token) for url in urls]

    everyone = [f"o-{number}" for number in range(ORDERS)]
    people = [
        Person(f"customer-{number}", "customer", at_all(parley.customer(f"c-{number}")), [f"o-{number}"])
        for number in range(ORDERS)
    ]
    for number in range(ORDERS // 2):
        seller = f"s-{number % 2}"
        token = parley.seller(seller, login=f"login-{number}")
        people.append(Person(f"seller-{number}", "seller", at_all(token), everyone[number % 2 :: 2]))
    return people


async def _progress(load: Load, faults: Faults, duration_s: float) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(10)
        passed = time.monotonic() - began
        print(
            f"  {passed:4.0f} of {duration_s:.0f} s: {load.figures.accepted} accepted, faults {dict(faults.done)}",
            flush=True,
        )


async def _quiet(parley: Parley) -> float:
    """Brings everything back and waits until nothing is left to do; how many seconds that took."""
    began = time.monotonic()
    parley.vhost.server.bring_back()
    parley.mongo.bring_back()
    for process in parley.services.values():
        process.resume()
        if not process.is_running:
            process.start()
    await parley.ready(timeout_s=60)
    client = connect(parley.mongo.url, name="chaos")
    threads = database(client, parley.database_names["threads"])
    notifier = database(client, parley.database_names["notifier"])
    retries = [topology.retry_queue(queue, tier) for queue in topology.WORK_QUEUES for tier in topology.tiers(queue)]

    async def nothing_left() -> bool:
        depths = [await parley.vhost.depth(queue) for queue in (*topology.WORK_QUEUES, *retries)]
        unfinished = await threads["entries"].count_documents({"unfinished": True})
        waiting = await notifier["mails"].count_documents({"alive": True})
        return not any(depths) and unfinished == 0 and waiting == 0

    for _ in range(2):
        await eventually(nothing_left, timeout_s=QUIET_LIMIT_S, what="quiescence")
        await asyncio.sleep(1)
    await client.close()
    return time.monotonic() - began


async def _audited(parley: Parley, ledger: Ledger) -> Verdict:
    events = [_event(message) for message in await parley.vhost.take_all(EVENTS_QUEUE)]
    client = connect(parley.mongo.url, name="chaos")
    try:
        return await audit(
            parley,
            ledger=ledger,
            threads=database(client, parley.database_names["threads"]),
            notifier=database(client, parley.database_names["notifier"]),
            events=events,
            poison=POISON,
        )
    finally:
        await client.close()


def _event(message: AbstractIncomingMessage) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(message.body)
    return event


def _tell(seed: int, took_s: float, settled_s: float, load: Load, faults: Faults, verdict: Verdict) -> None:
    for kind in ("lost", "doubled", "ghosts", "disorder", "other"):
        for each in getattr(verdict, kind)[:20]:
            print(f"  {kind}: {each}")
    figures = load.figures
    print(
        f"chaos: seed {seed}, {took_s:.0f} s, accepted {figures.accepted}, refused {figures.refused}, "
        f"repeated {figures.repeated}, kills {faults.kills}, other faults {faults.others}, entries {verdict.entries}, "
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, ghosts {len(verdict.ghosts)}, "
        f"disorder {len(verdict.disorder)}, other {len(verdict.other)}, mails {verdict.mails}, "
        f"duplicate mails {verdict.duplicate_mails}, ambiguous {verdict.ambiguous}, "
        f"longest silence {figures.longest_silence_s:.1f} s, quiet after {settled_s:.1f} s"
    )


def main() -> None:
    duration_s = float(os.environ.get("DURATION_S") or 120)
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    names = os.environ.get("FAULTS") or "all"
    chosen = None if names == "all" else set(names.split(","))
    rate = float(os.environ.get("RATE") or 40)
    logs.configure(service="chaos", log_format="text", level="error")
    print(f"chaos: seed {seed}, {duration_s:.0f} s, faults {names}", flush=True)
    clean = asyncio.run(chaos(duration_s=duration_s, seed=seed, chosen=chosen, rate=rate))
    sys.exit(0 if clean else 1)


if __name__ == "__main__":
    main()
