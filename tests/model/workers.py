"""Two real workers in this process, on one queue and one database, and the ends of RabbitMQ that a gateway and a shop hold.

All of it lives on an event loop in a thread of its own, so that a state machine, which is plain code, can ask it things.
"""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry
from pymongo import AsyncMongoClient

from services.threads import history, indexes, me, order_page
from services.threads.app import Worker, build_worker
from services.threads.metrics import Metrics
from services.threads.settings import Settings
from shared import topology
from shared.callers import Caller
from shared.commands import CommandOutcome, routing_key
from shared.mongo import Database, connect, database
from shared.orders import OrderSnapshot
from shared.publishing import Outgoing, Publisher
from shared.queries import Me, Message, OrderView
from tests.integration.worker.wire import REPLY_QUEUE, Wire, connected
from tests.model.conversation import ThreadCommand
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

T = TypeVar("T")

WORKERS: Final = 2
ANSWER_LIMIT_S: Final = 30.0
CALL_LIMIT_S: Final = 60.0
# A command for an order that is not the caller's would else be looked at again for six seconds.
PAST_ALL_TIERS: Final = {"x-attempt": len(topology.RETRY_TIERS_MS)}


@dataclass
class Seen:
    """What a person is shown: the order with its thread, the whole history, and their badges."""

    order: OrderView
    history: list[Message]
    first_new_seq: int | None
    me: Me


class Office:
    """Everything that lives on the loop."""

    def __init__(self, *, store: Database, workers: list[Worker], registries: list[CollectorRegistry]) -> None:
        self.store = store
        self._workers, self._registries = workers, registries
        self._wire: Wire | None = None
        self._gateway: Publisher | None = None

    def use(self, wire: Wire, gateway: Publisher) -> None:
        self._wire, self._gateway = wire, gateway

    @property
    def wire(self) -> Wire:
        assert self._wire is not None
        return self._wire

    @property
    def collisions(self) -> int:
        names = [(registry, _collisions_name(registry)) for registry in self._registries]
        return sum(int(registry.get_sample_value(name) or 0) for registry, name in names)

    async def start(self) -> None:
        await indexes.ensure(self.store)
        for worker in self._workers:
            worker.publisher.start()
            worker.commands.start()
            await worker.order_events.start()
        is_up = [worker.commands for worker in self._workers]
        await eventually(lambda: all(commands.is_consuming for commands in is_up), what="two workers consuming")

    async def stop(self) -> None:
        for worker in self._workers:
            await worker.stop(within_s=5)

    async def order(self, order: OrderSnapshot) -> None:
        """Publishes the order and waits until it is there."""
        await self.wire.order(order)

        async def is_there() -> bool:
            found = await self.store["threads"].find_one({"_id": order.order_id}, {"version": 1})
            return found is not None and found.get("version") == order.version

        await eventually(is_there, what=f"order {order.order_id}")

    async def ask_all(self, commands: list[ThreadCommand], *, refused_at_once: bool = False) -> list[CommandOutcome]:
        """Publishes the commands at once (the two workers take turns) and waits for an answer to each, in this order."""
        wire = self.wire
        before = {command.id: len(wire.replies.get(command.id, [])) for command in commands}
        wanted = {command.id: before[command.id] for command in commands}
        for command in commands:
            wanted[command.id] += 1
        await asyncio.gather(*(self._send(command, refused_at_once=refused_at_once) for command in commands))

        def all_answered() -> bool:
            return all(len(wire.replies.get(command_id, [])) >= count for command_id, count in wanted.items())

        await wire.until(all_answered, timeout_s=ANSWER_LIMIT_S)
        answers = []
        for command in commands:
            answers.append(wire.replies[command.id][before[command.id]])
            before[command.id] += 1
        return answers

    async def _send(self, command: ThreadCommand, *, refused_at_once: bool) -> None:
        assert self._gateway is not None
        await self._gateway.publish(
            Outgoing(
                topology.COMMANDS,
                routing_key(command),
                command.model_dump_json().encode(),
                message_id=f"{command.id}.{secrets.token_hex(4)}",
                headers=PAST_ALL_TIERS if refused_at_once else {},
                reply_to=REPLY_QUEUE,
                correlation_id=command.id,
            )
        )

    async def ids_in_order(self, order_id: str, *, above: int) -> list[str]:
        """The entries of the log above a `seq`, which must follow it without a gap."""
        found = self.store["entries"].find({"order_id": order_id, "seq": {"$gt": above}}, {"seq": 1}).sort("seq", 1)
        documents = await found.to_list()
        assert [each["seq"] for each in documents] == list(range(above + 1, above + 1 + len(documents)))
        return [each["_id"] for each in documents]

    async def projection(self, order_id: str) -> dict[str, Any]:
        found = await self.store["threads"].find_one({"_id": order_id})
        assert found is not None
        return found

    async def fall_behind(self, stale: dict[str, Any], entry_id: str) -> None:
        """As if a worker had died right after its insert: the projection knows nothing of the entry, which is unfinished."""
        await self.store["threads"].replace_one({"_id": stale["_id"]}, stale)
        await self.store["entries"].update_one({"_id": entry_id}, {"$set": {"unfinished": True}})

    async def look(self, caller: Caller, order_id: str) -> Seen:
        order, badges, (items, first_new) = await asyncio.gather(
            order_page.order(self.store, caller, order_id, shop="Shop"),
            me.me(self.store, caller),
            self._whole_history(caller, order_id),
        )
        return Seen(order, items, first_new, badges)

    async def _whole_history(self, caller: Caller, order_id: str) -> tuple[list[Message], int | None]:
        """Every page of it, and where the last of them says that the first new message is."""
        items: list[Message] = []
        while True:
            after = items[-1].seq if items else 0
            page = await history.page(self.store, caller, order_id, before_seq=None, after_seq=after, limit=200)
            items += page.items
            if page.next is None:
                return items, page.first_new_seq


class Loop:
    """An event loop in a thread, and plain calls into it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="workers", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=CALL_LIMIT_S)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


@contextlib.contextmanager
def running(parley: Parley) -> Iterator[tuple[Loop, Office]]:
    """Two workers at work until the end of the block."""
    loop = Loop()
    stack = contextlib.AsyncExitStack()
    try:
        yield loop, loop.run(_open(parley, stack))
    finally:
        loop.run(stack.aclose())
        loop.close()


async def _open(parley: Parley, stack: contextlib.AsyncExitStack) -> Office:
    environment = parley.environment("threads")
    settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
    client: AsyncMongoClient[dict[str, Any]] = connect(environment["MONGO_URL"], name="model")
    stack.push_async_callback(client.close)
    store = database(client, environment["MONGO_DATABASE"])
    registries = [CollectorRegistry() for _ in range(WORKERS)]
    workers = [build_worker(settings, store, Metrics(registry)) for registry in registries]
    office = Office(store=store, workers=workers, registries=registries)
    gateway = Publisher(parley.vhost.url("gateway"), name="model-gateway")
    gateway.start()
    stack.push_async_callback(gateway.close)
    await eventually(lambda: gateway.is_connected)
    office.use(await stack.enter_async_context(connected(parley.vhost)), gateway)
    await office.start()
    stack.push_async_callback(office.stop)
    return office


def _collisions_name(registry: CollectorRegistry) -> str:
    names = [sample.name for metric in registry.collect() for sample in metric.samples]
    return next(name for name in names if "collision" in name and name.endswith("_total"))
