"""PyMongo's asynchronous API beside Motor, in turns on one mongod: operations a second, and CPU of this process per operation.

`MONGO_URL=mongodb://… python bench/drivers.py`, in an environment of its own: `pip install motor pymongo uvloop`. Motor is not among
Parley's dependencies, so this file imports nothing of Parley's.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient

ROUNDS: Final = 5
CALLERS: Final = 64
OPERATIONS: Final = 3_000
PAGE: Final = 20
DATABASE: Final = "bench_drivers"

Operation = Callable[[Any], Awaitable[Any]]


async def find_one(entries: Any) -> Any:
    return await entries.find_one({"_id": 77})


async def page(entries: Any) -> Any:
    """A page of a history: a cursor over twenty documents."""
    return await entries.find({"seq": {"$gt": 100}}, sort=[("seq", 1)], limit=PAGE).to_list(PAGE)


async def insert_many(entries: Any) -> Any:
    """A group of the log: 64 documents in one ordered insert, acknowledged by a majority with its journal."""
    documents = [{"order_id": "1042", "text": "x" * 200} for _ in range(64)]
    return await entries.database["inserted"].insert_many(documents)


async def measure(operation: Operation, entries: Any, *, callers: int, operations: int) -> tuple[float, float]:
    """Operations a second, and microseconds of CPU per operation."""
    left = iter(range(operations))

    async def caller() -> None:
        for _ in left:
            await operation(entries)

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(callers)))
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return operations / took_s, cpu_s / operations * 1e6


async def main() -> None:
    url = os.environ["MONGO_URL"]
    clients = {"PyMongo async": AsyncMongoClient(url), "Motor": AsyncIOMotorClient(url)}
    collections = {name: client[DATABASE]["entries"] for name, client in clients.items()}
    first = collections["PyMongo async"]
    await first.database.client.drop_database(DATABASE)
    await first.insert_many([{"_id": n, "seq": n, "text": "x" * 300} for n in range(1_000)])
    await first.create_index("seq")
    cases: list[tuple[str, Operation, int, int]] = [
        ("find_one, 1 caller", find_one, 1, OPERATIONS // 3),
        (f"find_one, {CALLERS} callers", find_one, CALLERS, OPERATIONS),
        (f"page of {PAGE}, {CALLERS} callers", page, CALLERS, OPERATIONS // 2),
        ("insert of 64 documents, 4 callers", insert_many, 4, 60),
    ]
    for what, operation, callers, operations in cases:
        rates: dict[str, list[float]] = {name: [] for name in clients}
        cpus: dict[str, list[float]] = {name: [] for name in clients}
        for number in range(ROUNDS + 1):
            for name, entries in collections.items():
                rate, cpu = await measure(operation, entries, callers=callers, operations=operations)
                if number:
                    rates[name].append(rate)
                    cpus[name].append(cpu)
        medians = {name: statistics.median(values) for name, values in rates.items()}
        said = ", ".join(f"{name} {medians[name]:,.0f}/s, {statistics.median(cpus[name]):.0f} us" for name in clients)
        print(f"{what:<36} {said}   x {medians['PyMongo async'] / medians['Motor']:.2f}")
    await first.database.client.drop_database(DATABASE)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
