"""B6: first pages and badges at 10^3 and at 10^6 threads, side by side: `make bench-lists`. They must cost the same.

Fills two databases by MongoDB itself (a pipeline with the projection's own derivation), asks the query API in this process,
one database and then the other in turn, and prints the median of each question at both sizes, and their ratio.
`measure` has two rows of it, and those of bench.histories.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

from pymongo import AsyncMongoClient

from bench import histories
from bench.rounds import ROUNDS, Row
from services.threads import indexes
from services.threads.projection import DERIVED
from shared import mongo
from shared.callers import Caller
from shared.mongo import Database, Document
from shared.queries import OrderFilter, ThreadFilter, ThreadSort
from tests.integration.threads.asking import Client, application, token_of
from tests.servers.mongodb import FreshDatabases
from tests.servers.providers import shared_mongo

SMALL: Final = 1_000
LARGE: Final = 1_000_000
AIM: Final = 1.2
WARM_UP: Final = 5
ASKED_IN_A_ROUND: Final = 20
ORDERS_OF_A_CUSTOMER: Final = 50
START: Final = datetime(2025, 1, 1, tzinfo=UTC)

CALLERS: Final = {
    "customer": Caller(role="customer", id="c-1", name="Customer"),
    "seller": Caller(role="seller", id="anna", name="Anna", seller_id="s-1"),
    "shop": Caller(role="admin", id="root", name="Root"),
}
QUESTIONS: Final = [
    "/v1/me",
    *(f"/v1/orders?filter={which}" for which in get_args(OrderFilter)),
    *(f"/v1/threads?filter={which}&sort={sort}" for which in get_args(ThreadFilter) for sort in get_args(ThreadSort)),
]


@dataclass(frozen=True)
class Line:
    """One question of one inbox: medians in milliseconds, and how many rows were answered at both sizes."""

    inbox: str
    question: str
    small_ms: float
    large_ms: float
    rows: tuple[int, int]

    @property
    def ratio(self) -> float:
        return self.large_ms / self.small_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=LARGE, help="threads in the large database")
    parser.add_argument("--rounds", type=int, default=200, help="questions of each kind to each database")
    asked = parser.parse_args()
    asyncio.run(bench(asked.large, asked.rounds))


async def bench(size: int, rounds: int) -> None:
    async with filled(size) as pair:
        lines = [await ask(pair, inbox, question, rounds) for inbox in CALLERS for question in QUESTIONS]
    print_table(lines, size)


async def measure(*, rounds: int = ROUNDS, size: int = LARGE) -> list[Row]:
    """Every question in each round; the rows are of all questions together, and of the one that grows most."""
    async with filled(size) as pair:
        asked = [
            [await ask(pair, inbox, question, ASKED_IN_A_ROUND) for inbox in CALLERS for question in QUESTIONS]
            for _ in range(rounds)
        ]
        rows = await histories.measured(pair[0], rounds=rounds)
    together = [
        (statistics.fmean(line.large_ms for line in each), statistics.fmean(line.small_ms for line in each))
        for each in asked
    ]
    by_question = list(zip(*asked, strict=True))
    worst = max(by_question, key=lambda lines: statistics.median(line.ratio for line in lines))
    return [
        _row(f"mean of {len(by_question)} first pages and badges", together, size),
        _row(
            f"the one that grows most: {worst[0].inbox} {worst[0].question}",
            [(line.large_ms, line.small_ms) for line in worst],
            size,
        ),
        *rows,
    ]


def _row(what: str, pairs: Sequence[tuple[float, float]], size: int) -> Row:
    large, small = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = [pair[0] / pair[1] for pair in pairs]
    return Row("B6a", f"{what}, {size:,} threads", f"{SMALL:,} threads", "ms", large, small, ratios, AIM, "lower")


@asynccontextmanager
async def filled(size: int) -> AsyncIterator[tuple[Database, Database]]:
    """The small database and the large one, on a MongoDB of their own."""
    with tempfile.TemporaryDirectory() as directory, shared_mongo(Path(directory)) as server:
        databases = FreshDatabases(server)
        client: AsyncMongoClient[Document] = AsyncMongoClient(server.url, tz_aware=True)
        try:
            async with client:
                pair = mongo.database(client, databases("small")), mongo.database(client, databases("large"))
                for database, threads in zip(pair, (SMALL, size), strict=True):
                    began = time.monotonic()
                    await fill(database, threads)
                    seconds = time.monotonic() - began
                    print(f"{threads:>9,} threads filled and indexed in {seconds:.0f} s", file=sys.stderr, flush=True)
                yield pair
        finally:
            databases.drop()


async def fill(database: Database, threads: int) -> None:
    """As many threads, and an admin's mark in each, written by MongoDB itself; then the indexes."""
    await database.aggregate([*numbers(threads), {"$project": thread()}, *DERIVED, {"$out": "threads"}])
    mark = {"_id": {"$concat": ["$_id", "|admin:root"]}, "seq": "$seq", "own": {"$literal": 0}}
    await (await database["threads"].aggregate([{"$project": mark}, {"$out": "reads"}])).to_list()
    await indexes.ensure(database)
    assert await database["threads"].estimated_document_count() == threads


def numbers(count: int) -> list[Document]:
    """Documents {n: 0}, {n: 1}, …: a thousand to begin with, each of which becomes its thousandth part of them."""
    each = count // SMALL
    return [
        {"$documents": [{"part": part} for part in range(SMALL)]},
        {"$set": {"step": {"$range": [0, each]}}},
        {"$unwind": "$step"},
        {"$project": {"n": {"$add": [{"$multiply": ["$part", each]}, "$step"]}}},
    ]


def thread() -> Document:
    """Thread n as the projection keeps it, less what is derived.

    Every second order is of the one big seller; nine of ten have messages; a quarter has something new in each inbox, and in
    every eighth or so the customer waits and a dispute is open. What happened last is in another order than what was placed.
    """
    author = {"side": "customer", "person": "customer", "name": "A customer with a name"}
    last_at = moment({"$mod": [{"$multiply": ["$n", 7919]}, LARGE]})
    seq = {"$cond": [every(10, *range(9)), {"$add": [2, {"$mod": ["$n", 7]}]}, 0]}
    waits = {"$and": [every(8, 1, 2), every(10, *range(9))]}
    dispute = {"id": "a" * 42, "state": "open", "reason": "damaged", "opened_by": author, "opened_at": last_at}
    mark = {"$cond": [every(4, 1, 2), "$$REMOVE", {"stamp": "1", "seq": 99, "own": 0}]}
    return {
        "_id": {"$concat": ["order-", {"$toString": "$n"}]},
        "version": {"$literal": 1},
        "order": {
            "status": "shipped",
            "placed_at": moment("$n"),
            "url": {"$concat": ["https://shop.example/orders/", {"$toString": "$n"}]},
            "customer": {
                "id": {"$concat": ["c-", {"$toString": {"$floor": {"$divide": ["$n", ORDERS_OF_A_CUSTOMER]}}}]},
                "name": "A customer with a name",
                "guest": {"$literal": False},
            },
            "seller": {
                "id": {"$cond": [every(2, 0), "s-1", {"$concat": ["s-", {"$toString": {"$mod": ["$n", 997]}}]}]},
                "name": "A seller with a name",
            },
            "first_item": "An item with a name of some length",
            "item_count": {"$literal": 3},
            "total": "119.40",
            "currency": "EUR",
        },
        "seq": seq,
        "after": {
            "entries_by_side": {side: {"$literal": 0} for side in ("customer", "seller", "shop")},
            "persons": [{"person": "customer", "count": {"$literal": 1}}],
            "imported": {"$literal": 0},
            "dispute": {"$cond": [waits, {**dispute, "opened_seq": {"$literal": 1}}, None]},
            "waiting_since": {"$cond": [waits, last_at, None]},
        },
        "last": {"seq": seq, "kind": "text", "author": author, "excerpt": "A message. " * 12, "at": last_at},
        "marks": dict.fromkeys(("customer", "seller", "shop"), mark),
    }


def every(n: int, *remainders: int) -> Document:
    return {"$in": [{"$mod": ["$n", n]}, list(remainders)]}


def moment(minutes: Any) -> Document:
    return {"$dateAdd": {"startDate": START, "unit": "minute", "amount": minutes}}


async def ask(pair: Sequence[Database], inbox: str, question: str, rounds: int) -> Line:
    """Asks both databases in turn, so that whatever else the machine does falls on both."""
    caller = CALLERS[inbox]
    clients = [Client(application(database), caller, f"Bearer {token_of(caller)}") for database in pair]
    took: list[list[float]] = [[], []]
    rows = [0, 0]
    for round_number in range(WARM_UP + rounds):
        for which, client in enumerate(clients):
            began = time.perf_counter()
            answer = await client.get(question)
            took_ms = (time.perf_counter() - began) * 1_000
            assert answer.status == 200, answer.body
            rows[which] = len(answer.json.get("items", ()))
            if round_number >= WARM_UP:
                took[which].append(took_ms)
    return Line(inbox, question, statistics.median(took[0]), statistics.median(took[1]), (rows[0], rows[1]))


def print_table(lines: Sequence[Line], size: int) -> None:
    print(f"\np50 of the first page and the badges, in ms       {SMALL:>15,} {size:>10,}   ratio   rows")
    for line in lines:
        name = f"{line.inbox:<9}{line.question}"
        print(
            f"{name:<58} {line.small_ms:>7.2f} {line.large_ms:>10.2f} {line.ratio:>7.2f}   {line.rows[0]}/{line.rows[1]}"
        )
    worst = max(lines, key=lambda line: line.ratio)
    badge = max((line for line in lines if line.question == "/v1/me"), key=lambda line: line.ratio)
    verdict = "as aimed at" if worst.ratio <= AIM else "MORE THAN AIMED AT"
    print(
        f"\nworst ratio {worst.ratio:.2f} ({worst.inbox} {worst.question}); worst badge {badge.ratio:.2f}; aim {AIM}: {verdict}"
    )


if __name__ == "__main__":
    main()
