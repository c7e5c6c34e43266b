"""The Parley in which all cells happen: two workers and two notifiers with named points, a gateway, and a queue that hears every event."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from shared import topology
from shared.mongo import Database, connect, database
from tests.e2e.client import Clients
from tests.faults.points import FILE, Orders
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley, own_parley
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.services import ServiceProcess

Document = dict[str, Any]
EVENTS_QUEUE: Final = "shop-grid"
ENTRY_EVENTS: Final = ("parley.message.posted.v1", "parley.dispute.opened.v1", "parley.dispute.closed.v1")
# Short, so that a frozen sender's mail is another's within seconds; a send takes milliseconds here.
LEASE: Final = {"SEND_LIMIT_S": "2", "LEASE_S": "3", "POLL_S": "0.2", "FIRST_PAUSE_S": "0.1"}
START_TIMEOUT_S: Final = 60
MODULES: Final = {
    "threads": "tests.faults.threads",
    "notifier": "tests.faults.notifier",
    "gateway": "services.gateway",
}


@dataclass
class Stage:
    parley: Parley
    clients: Clients
    threads: Database
    notifier: Database
    orders: dict[str, Orders]
    events: list[Document]

    def pair(self, service: str) -> list[ServiceProcess]:
        """Both processes of threads or of the notifier."""
        return [process for process in self.parley.services.values() if process.service == service]

    async def all_run(self) -> None:
        """Starts again what a fault has ended. Returns when of each service one is ready: the other may still be starting."""
        for process in self.parley.services.values():
            process.resume()
            if not process.is_running:
                process.start()
        await asyncio.gather(*(self._one_ready(service) for service in ("threads", "notifier", "gateway")))

    async def _one_ready(self, service: str) -> None:
        waits = {asyncio.ensure_future(each.ready(timeout_s=START_TIMEOUT_S)) for each in self.pair(service)}
        done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in others:
            each.add_done_callback(_look_at)
        for each in done:
            each.result()

    async def hear(self) -> None:
        """Takes what was announced since."""
        self.events += [json.loads(message.body) for message in await self.parley.vhost.take_all(EVENTS_QUEUE)]


def _look_at(waited: "asyncio.Future[ServiceProcess]") -> None:
    """A process that was ended while it was waited for is no error here."""
    if not waited.cancelled():
        waited.exception()


@asynccontextmanager
async def stage(
    rabbit: SharedRabbit, mongo: SharedMongo, directory: Path, *, modules: Mapping[str, str] = MODULES, **settings: str
) -> AsyncIterator[Stage]:
    """`directory` is there, and takes the logs. `modules` are what runs as each service; `settings` are for all of them."""
    with own_parley(rabbit, mongo, directory) as parley:
        async with _staged(parley, directory, modules, settings) as staged:
            yield staged


@asynccontextmanager
async def _staged(
    parley: Parley, directory: Path, modules: Mapping[str, str], settings: Mapping[str, str]
) -> AsyncIterator[Stage]:
    orders = {name: Orders(directory / f"{name}-fault") for name in ("threads", "notifier")}
    client = connect(parley.mongo.url, name="grid")
    try:
        for service, own in (("threads", {}), ("notifier", LEASE)):
            given = {**own, **settings, FILE: str(orders[service].path)}
            for label in (service, f"{service}-2"):
                parley.add(service, label=label, module=modules[service], **given).start()
        parley.add("gateway", module=modules["gateway"], **settings).start()
        await parley.ready(timeout_s=START_TIMEOUT_S)
        await _listen(parley)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as session:
            yield Stage(
                parley,
                Clients(parley, session),
                database(client, parley.database_names["threads"]),
                database(client, parley.database_names["notifier"]),
                orders,
                [],
            )
    finally:
        parley.kill()
        await client.close()


async def _listen(parley: Parley) -> None:
    async with await parley.vhost.connect() as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(EVENTS_QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind(topology.EVENTS, "#")
