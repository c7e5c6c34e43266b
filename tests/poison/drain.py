"""Commands in a queue, and a worker that drains it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.threads.consumers import GROUPS_PREFETCHED
from shared import topology
from shared.callers import Caller
from shared.commands import PostMessage, routing_key
from shared.mongo import Database, connect, database
from shared.orders import Customer, order_event, order_routing_key
from shared.publishing import Outgoing, Publisher
from tests.made import post, snapshot
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley, own_parley
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

DEAD: Final = topology.dead_queue(topology.COMMANDS_QUEUE)
THREADS: Final = 200
PREFETCH: Final = 200
IN_FLIGHT: Final = 400
LIMIT_S: Final = 400.0
LOOK_EVERY_S: Final = 0.05


@dataclass
class Place:
    """One virtual host and database, with orders in it; `worker` is not started. `restarts`: how often it had crashed."""

    parley: Parley
    store: Database
    worker: ServiceProcess
    gateway: Publisher
    shop: Publisher
    restarts: int = 0

    async def publish(self, texts: Sequence[str]) -> list[PostMessage]:
        """Each as a post about one of the orders, in turn."""
        commands = [
            post(text, order_id=f"o-{number % THREADS}", by=_customer(number % THREADS))
            for number, text in enumerate(texts)
        ]
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def send(command: PostMessage) -> None:
            async with slots:
                await self.gateway.publish(_outgoing(command), deadline_s=60)

        await asyncio.gather(*(send(command) for command in commands))
        return commands

    async def drained(self, *, stored: int, dead: int) -> tuple[float, float]:
        """Returns when so many are stored, and finished, and so many dead; the times of the first one stored and of the last look."""
        entries = self.store["entries"]
        first: float | None = None

        async def all_settled() -> bool:
            nonlocal first
            count = await entries.estimated_document_count()
            first = first or (time.monotonic() if count else None)
            if not self.worker.is_running:
                self.worker.start()
                self.restarts += 1
            is_done = count >= stored and not await entries.count_documents({"unfinished": True}, limit=1)
            return is_done and await self.parley.vhost.depth(DEAD) >= dead

        await eventually(all_settled, timeout_s=LIMIT_S, every_s=LOOK_EVERY_S, what=f"{stored} stored and {dead} dead")
        assert first is not None, "nothing was stored"
        return first, time.monotonic()

    async def stored_texts(self) -> list[str]:
        return [entry["text"] async for entry in self.store["entries"].find({}, {"text": 1})]


@asynccontextmanager
async def place(rabbit: SharedRabbit, mongo: SharedMongo, directory: Path) -> AsyncIterator[Place]:
    with own_parley(rabbit, mongo, directory) as parley:
        async with _worked_by(parley) as here:
            await _with_orders(here)
            yield here


@asynccontextmanager
async def _worked_by(parley: Parley) -> AsyncIterator[Place]:
    client = connect(parley.mongo.url, name="poison")
    gateway = Publisher(parley.vhost.url("gateway"), name="poison-gateway")
    shop = Publisher(parley.vhost.url("shop"), name="poison-shop")
    worker = parley.add(
        "threads",
        module="tests.faults.poison",
        ROLES="worker",
        GROUP_MAX=f"{PREFETCH // GROUPS_PREFETCHED}",
        LOG_LEVEL="info",
    )
    try:
        await asyncio.gather(gateway.connected(), shop.connected())
        yield Place(parley, database(client, parley.database_names["threads"]), worker, gateway, shop)
    finally:
        parley.kill()
        await asyncio.gather(gateway.close(), shop.close())
        await client.close()


async def _with_orders(here: Place) -> None:
    here.worker.start()
    await here.worker.ready()
    for number in range(THREADS):
        customer = _customer(number)
        order = snapshot(
            f"o-{number}", customer=Customer(id=customer.id, name="Ada", email=f"{customer.id}@example.com")
        )
        event = order_event(order, source="poison", now=order.placed_at)
        body = event.model_dump_json(exclude_none=True).encode()
        await here.shop.publish(
            Outgoing(topology.SHOP_ORDERS, order_routing_key(event), body, message_id=order.order_id)
        )

    async def all_there() -> bool:
        return await here.store["threads"].count_documents({"version": 1}) == THREADS

    await eventually(all_there, timeout_s=60, what="the orders")
    await asyncio.to_thread(here.worker.term)


def _customer(number: int) -> Caller:
    return Caller(role="customer", id=f"c-{number}", name="Ada")


def _outgoing(command: PostMessage) -> Outgoing:
    body = command.model_dump_json(exclude_none=True).encode()
    return Outgoing(topology.COMMANDS, routing_key(command), body, message_id=command.id)
