"""What others notice while one person makes as much noise as they are let: `make prove-fairness`, `python -m bench.fairness`.

Before and after all kinds of noise, and during each for DURATION_S, fifty other customers post into threads of their own, 40 times a
second altogether. A quarter of an hour with the usual DURATION_S of 30; INBOX is how many unread threads the large inbox has, NOISES="marks steps" makes these alone. The exit status is 1 where
something is not as promised.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import uvloop
from pymongo import AsyncMongoClient, UpdateOne

from bench.load.figures import percentile
from bench.noise import LIST, OWN, OWN_ORDERS, own_order
from bench.stack import running_parley
from deploy.local.shop import ShopOrder, publish_orders
from services.gateway.costs import KEPT_OF_A_BYTE, KEPT_OF_A_MARK_BYTES, KEPT_OF_EACH_BYTES
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.orders import document_of
from services.threads.projection import Projection, order_update
from services.threads.thread import Made, Thread, decide
from shared import mongo, topology
from shared.callers import Caller
from shared.mongo import Database, Document
from shared.orders import Customer, OrderSnapshot, Seller
from shared.tokens import mint_unsubscribe
from tests.made import post, snapshot
from tests.servers.parley import CREDENTIALS, Parley
from tests.servers.waiting import eventually

DURATION_S: Final = float(os.environ.get("DURATION_S", "30"))
INBOX: Final = int(os.environ.get("INBOX", "20000"))
ONLY: Final = os.environ.get("NOISES", "").split()
OTHERS: Final = 50
RATE: Final = 40.0
CHUNK: Final = 1_000
SETTLE_S: Final = 60.0
P99_LIMIT_MS: Final = 200.0
TIMES_IDLE: Final = 3.0
BIG_SELLER: Final = "s-big"
INNOCENT: Final = "innocent"
INNOCENTS: Final = 10
MAILED_WITHIN_S: Final = 15.0
MB: Final = 1e6
# A key of the longest ids and its place, before MongoDB shortens what neighbours share.
INDEX_ENTRY_BYTES: Final = 100

# What is tried, whether it is tried by the seller with the large inbox, and the attack that it stands for.
NOISES: Final = (
    ("marks", False, "100 own threads a request, read and unread in turn"),
    ("one_mark", False, "one own thread, read and unread in turn"),
    ("made_up", False, "99 made-up ids and an own one a request"),
    ("clicks", False, "the link that ends mails"),
    ("everything", True, f"all of an inbox of {INBOX:,} unread threads"),
    ("strange_orders", False, "posts to orders that nobody has"),
    ("long_posts", False, "texts of 10,000 characters, 40 kB"),
    ("steps", False, "a dispute opened and closed"),
)
SETTINGS: Final = {
    "gateway": {
        "PERSON_WRITES_PER_S": "20",
        "PERSON_KEPT_MB_PER_H": "20",
        "THREAD_WRITES_PER_S": "20",
    },
    "notifier": {"MAIL_DELAY": "0", "MAIL_LIMIT": "60"},
}


@dataclass
class Phase:
    """What the others saw, and what the noise was answered and left behind."""

    name: str
    took_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    noise: Counter[str] = field(default_factory=Counter)
    kept_bytes: int = 0
    charged_bytes: int = 0
    note: str = ""

    @property
    def refused(self) -> int:
        """Posts of others that were neither done nor accepted."""
        return sum(count for status, count in self.statuses.items() if status not in (201, 202))

    def p(self, percent: float) -> float:
        return percentile(self.took_ms, percent)


@dataclass(frozen=True)
class Bench:
    parley: Parley
    threads: Database
    notifier: Database

    async def others(self, phase: Phase, seconds: float) -> None:
        """Posts at a steady rate for so long, whoever is behind; then reads how long each took to be committed, from the log itself."""
        numbers = itertools.count()
        began, ids = time.monotonic(), set[str]()
        async with aiohttp.ClientSession(self.parley.gateway_url) as http, asyncio.TaskGroup() as posting:
            while time.monotonic() < began + seconds:
                posting.create_task(self._post(http, next(numbers) % OTHERS, phase, ids))
                await asyncio.sleep(random.uniform(0.5, 1.5) / RATE)
        await eventually(lambda: self._are_there(ids), timeout_s=SETTLE_S, what="all posts of the others in the log")
        async for entry in self.threads["entries"].find({"_id": {"$in": list(ids)}}):
            phase.took_ms.append((entry["committed_at"] - entry["accepted_at"]).total_seconds() * 1000)

    async def _post(self, http: aiohttp.ClientSession, number: int, phase: Phase, ids: set[str]) -> None:
        headers = {"Authorization": f"Bearer {self.parley.customer(f'other-{number}')}"}
        path = f"/v1/orders/other-{number}/messages"
        async with http.post(path, json={"text": "When will it be sent?"}, headers=headers) as answer:
            said = await answer.json()
            phase.statuses[answer.status] += 1
            if answer.status in (201, 202):
                ids.add(said.get("id") or said["command_id"])

    async def _are_there(self, ids: set[str]) -> bool:
        return await self.threads["entries"].count_documents({"_id": {"$in": list(ids)}}) == len(ids)

    async def noise(self, kind: str, *, big: bool, seconds: float) -> Counter[str]:
        token = self.parley.seller(BIG_SELLER) if big else self.parley.customer(OWN)
        unsubscribe = mint_unsubscribe(f"customer:{OWN}", secret=CREDENTIALS.link_secret, now=time.time())
        environment = {"GATEWAY_URL": self.parley.gateway_url, "TOKEN": token, "UNSUBSCRIBE_TOKEN": unsubscribe}
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.noise", kind, f"{seconds}"),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await program.communicate()
        return Counter(json.loads(out))

    async def kept(self, *, big: bool) -> int:
        """What the noisy one has in both databases, in bytes, with their part of the indexes."""
        about: Document = {"$regex": f"^{OWN}-"}
        callers = [f"seller:{BIG_SELLER}-login", f"seller:{BIG_SELLER}"] if big else [f"customer:{OWN}"]
        questions: list[tuple[Database, str, Document]] = [
            (self.threads, "outcomes", {"caller": {"$in": callers}}),
            (self.threads, "preferences", {"_id": {"$in": callers}}),
            (self.threads, "mark_runs", {}),
            (self.notifier, "choices", {"_id": {"$in": callers}}),
        ]
        if not big:
            questions += [(self.threads, name, {"order_id": about}) for name in ("entries", "reads")]
            questions += [(self.threads, "threads", {"_id": about})]
            questions += [(self.notifier, name, {"order_id": about}) for name in ("mails", "reads")]
        return sum([await _size(database[name], which) for database, name, which in questions])

    async def settled(self) -> None:
        """Returns when nothing waits in the queues of threads and of the notifier, retry tiers included."""

        async def look() -> bool:
            return await self.parley.vhost.held(*QUEUES) == 0

        await eventually(look, timeout_s=10 * SETTLE_S, what="empty queues", every_s=0.5)


QUEUES: Final = [
    name
    for work in (topology.COMMANDS_QUEUE, topology.NOTIFIER_QUEUE)
    for name in (work, *(topology.retry_queue(work, tier) for tier in topology.tiers(work)))
]


async def _size(collection: Any, which: Document) -> int:
    """The bytes of these documents, and of their entries in as many indexes as there are."""
    sums = {"_id": None, "bytes": {"$sum": {"$bsonSize": "$$ROOT"}}, "count": {"$sum": 1}}
    found = await (await collection.aggregate([{"$match": which}, {"$group": sums}])).to_list()
    if not found:
        return 0
    indexes = len(await (await collection.list_indexes()).to_list())
    return int(found[0]["bytes"] + found[0]["count"] * indexes * INDEX_ENTRY_BYTES)


def own_snapshots() -> Iterator[OrderSnapshot]:
    for number in range(OWN_ORDERS):
        yield _snapshot(own_order(number), OWN, "s-noisy")
    for number in range(INNOCENTS):
        yield _snapshot(f"{INNOCENT}-{number}", f"{INNOCENT}-{number}", "s-noisy")
    for number in range(OTHERS):
        yield _snapshot(f"other-{number}", f"other-{number}", f"s-{number}")


def _snapshot(order_id: str, customer_id: str, seller_id: str) -> OrderSnapshot:
    buyer = Customer(id=customer_id, name="Ada Byron", email=f"{customer_id}@mail.example")
    return snapshot(
        order_id, customer=buyer, seller=Seller(id=seller_id, name="Fine Things", email=f"{seller_id}@shop.example")
    )


async def fill_inbox(database: Database, threads: int) -> None:
    """So many orders of one seller, with a message of the customer in each, as the worker would have left them."""
    log, projection = Log(database), Projection(database)
    for start in range(0, threads, CHUNK):
        snapshots = [
            _snapshot(f"big-{n:06d}", f"big-{n}", BIG_SELLER) for n in range(start, min(start + CHUNK, threads))
        ]
        entries = []
        for each in snapshots:
            thread = Thread(Parties(each.order_id, each.customer.id, BIG_SELLER, guest=False), certain=True)
            command = post(
                "Is it there?", order_id=each.order_id, by=Caller(role="customer", id=each.customer.id, name="Ada")
            )
            made = decide(command, thread, digest="d", now=command.time.replace(microsecond=0))
            assert isinstance(made, Made)
            entries.append(made.entry)
        await database["orders"].insert_many([document_of(each) for each in snapshots], ordered=False)
        await log.insert([[entry] for entry in entries])
        updates = [UpdateOne({"_id": each.order_id}, order_update(each), upsert=True) for each in snapshots]
        await database["threads"].bulk_write(updates, ordered=False)
        await projection.write_entries(entries)
        await database["entries"].update_many({"unfinished": True}, {"$unset": {"unfinished": ""}})


async def one_phase(bench: Bench, kind: str, big: bool) -> Phase:
    phase = Phase(kind)
    before = await bench.kept(big=big)
    innocents = asyncio.create_task(speak_up(bench)) if kind == "steps" else None
    phase.noise, _ = await asyncio.gather(
        bench.noise(kind, big=big, seconds=DURATION_S), bench.others(phase, DURATION_S)
    )
    if innocents is not None:
        phase.note = await innocents
    began = time.monotonic()
    await bench.settled()
    if kind == "everything":
        left = await bench.threads["threads"].count_documents({"lists": f"seller:{BIG_SELLER}/unread"})
        phase.note = f"settled {time.monotonic() - began:.0f} s after the noise; {left:,} threads left unread"
        assert left == 0
    phase.kept_bytes = await bench.kept(big=big) - before
    accepted = sum(count for status, count in phase.noise.items() if status in ("200", "202"))
    of_one = KEPT_OF_EACH_BYTES + KEPT_OF_A_BYTE * BODY_BYTES[kind] + KEPT_OF_A_MARK_BYTES * MARKS.get(kind, 0)
    phase.charged_bytes = accepted * of_one
    return phase


MARKS: Final = {"marks": OWN_ORDERS, "made_up": LIST}
# Of each kind's commands, a little less than the gateway measures.
BODY_BYTES: Final = {
    "marks": 5_000,
    "one_mark": 400,
    "made_up": 9_700,
    "clicks": 400,
    "everything": 400,
    "strange_orders": 400,
    "long_posts": 40_400,
    "steps": 400,
}


async def speak_up(bench: Bench) -> str:
    """In the middle of a dispute's noise, ten other customers of the same seller write, and an eleventh opens a dispute; their mails go at once."""
    await asyncio.sleep(DURATION_S * 2 / 3)
    async with aiohttp.ClientSession(bench.parley.gateway_url) as http:
        for number in range(INNOCENTS):
            name = f"{INNOCENT}-{number}"
            headers = {"Authorization": f"Bearer {bench.parley.customer(name)}"}
            path, body = (
                ("messages", {"text": "Hello?"}) if number else ("dispute", {"reason": "damaged", "text": "It broke"})
            )
            async with http.post(f"/v1/orders/{name}/{path}", json=body, headers=headers) as answer:
                assert answer.status in (201, 202), await answer.text()
    query = {"order_id": {"$regex": f"^{INNOCENT}-"}, "state": "sent"}

    async def all_sent() -> bool:
        return await bench.notifier["mails"].count_documents(query) == INNOCENTS + 1

    with contextlib.suppress(AssertionError):
        await eventually(all_sent, timeout_s=MAILED_WITHIN_S, what="the mails of others", every_s=0.2)
    sent = await bench.notifier["mails"].count_documents(query)
    noisy = await bench.notifier["mails"].count_documents({"order_id": own_order(0), "state": "sent"})
    late = INNOCENTS + 1 - sent
    return f"mails of others delayed: {late} of {INNOCENTS + 1}; mails of the noisy order sent: {noisy}"


async def main() -> int:
    settings = {name: dict(values) for name, values in SETTINGS.items()}
    settings["threads"] = {"ADMIN_EMAIL": "staff@shop.example"}
    async with running_parley(**settings) as parley:
        client: AsyncMongoClient[Document] = AsyncMongoClient(parley.mongo.url, tz_aware=True)
        async with client:
            bench = Bench(
                parley,
                mongo.database(client, parley.database_names["threads"]),
                mongo.database(client, parley.database_names["notifier"]),
            )
            await publish_orders(
                parley.vhost.url("shop"), [ShopOrder.read(each.model_dump(mode="json")) for each in own_snapshots()]
            )
            await fill_inbox(bench.threads, INBOX)
            await eventually(
                lambda: _count_is(bench.threads, INBOX + OWN_ORDERS + INNOCENTS + OTHERS),
                timeout_s=SETTLE_S,
                what="all orders",
            )
            await _first_words(bench)
            return await _measure(bench)


async def _count_is(database: Database, count: int) -> bool:
    return await database["threads"].count_documents({}) >= count


async def _first_words(bench: Bench) -> None:
    """The noisy one has a message in each thread, which can be marked read; and everybody is warm."""
    headers = {"Authorization": f"Bearer {bench.parley.seller('s-noisy')}"}
    async with aiohttp.ClientSession(bench.parley.gateway_url, headers=headers) as http:
        for number in range(OWN_ORDERS):
            async with http.post(f"/v1/orders/{own_order(number)}/messages", json={"text": "Thank you."}) as answer:
                assert answer.status in (201, 202), await answer.text()
            await asyncio.sleep(1 / 18)
    await bench.others(Phase("warm"), 5)
    await bench.settled()


async def _measure(bench: Bench) -> int:
    load, idle, phases = os.getloadavg()[0], Phase("idle"), []
    await bench.others(idle, DURATION_S)
    for kind, big, _ in NOISES:
        if ONLY and kind not in ONLY:
            continue
        await bench.settled()
        phases.append(await one_phase(bench, kind, big))
    await bench.settled()
    await bench.others(idle, DURATION_S)
    print(
        f"others: {OTHERS} customers, {RATE:g} posts/s; each noise {DURATION_S:g} s, one connection; "
        f"load average {load:.1f} to {os.getloadavg()[0]:.1f}"
    )
    return report(idle, phases)


HEAD: Final = (
    f"{'noise':<16} {'samples':>7} {'p50 ms':>8} {'p99 ms':>8} {'x idle':>7} {'201':>6} {'202':>5} {'other':>5}  "
    f"{'kept MB':>8} {'charged':>8}  the noise was answered"
)


def report(idle: Phase, phases: Sequence[Phase]) -> int:
    """Prints the table and what is not as promised; the exit status."""
    limit_ms = max(TIMES_IDLE * idle.p(99), P99_LIMIT_MS)
    print(HEAD)
    failed: list[str] = []
    for phase in [idle, *phases]:
        answered = ", ".join(f"{status}: {count}" for status, count in sorted(phase.noise.items()))
        print(
            f"{phase.name:<16} {len(phase.took_ms):>7} {phase.p(50):>8.1f} {phase.p(99):>8.1f} "
            f"{phase.p(99) / idle.p(99):>7.2f} {phase.statuses[201]:>6} {phase.statuses[202]:>5} {phase.refused:>5}  "
            f"{phase.kept_bytes / MB:>8.3f} {phase.charged_bytes / MB:>8.3f}  {answered}"
        )
        if phase.note:
            print(f"{'':<16} {phase.note}")
        failed += [] if phase is idle else broken(phase, limit_ms)
    for kind, _, what in NOISES:
        print(f"  {kind}: {what}")
    print(
        f"p99 may be {limit_ms:.0f} ms: {TIMES_IDLE:g} times idle, or {P99_LIMIT_MS:g} ms. "
        "One person keeps at most 25 MB in an hour through one gateway process, as charged."
    )
    print("as promised" if not failed else "NOT as promised:\n  " + "\n  ".join(failed))
    return 1 if failed else 0


def broken(phase: Phase, limit_ms: float) -> list[str]:
    """Which promises this noise broke."""
    found = []
    if phase.p(99) > limit_ms:
        found.append(f"p99 {phase.p(99):.0f} ms is above {limit_ms:.0f} ms")
    if phase.statuses[202] or phase.refused:
        found.append(f"of the posts of others {phase.statuses[202]} were answered 202, {phase.refused} refused")
    if phase.kept_bytes > phase.charged_bytes:
        found.append("more is kept than was charged")
    if "delayed" in phase.note and ": 0 of" not in phase.note:
        found.append(phase.note)
    return [f"{phase.name}: {each}" for each in found]


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(main()))
