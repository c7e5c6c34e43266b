"""What chaos runs on: two of each service, a RabbitMQ node, a replica set, an SMTP server, and a proxy on every way between them."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.local.ports import LOOPBACK
from tests.servers.clock import Clock
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.parley import Parley
from tests.servers.providers import local_rabbit
from tests.servers.proxy import Proxy, ProxyLoop
from tests.servers.rabbitmq import SharedRabbit, make_vhost
from tests.servers.replica_set import ReplicaSet, replica_set
from tests.servers.services import ServiceProcess
from tests.servers.small_disk import SmallDisk, small_disk
from tests.servers.smtp import SmtpServer

SERVICES: Final = ("threads", "notifier", "gateway")
RABBITMQ_DISK_MB: Final = 900
MONGODB_DISK_MB: Final = 900
SEND_LIMIT_S: Final = 6.0

# A mail whose sender was killed between DATA and its mark waits for the end of its lease: a short one, so that the run can wait too.
# Many people here share two sellers and one address: limits on what one may do are not what this is about.
SETTINGS: Final[dict[str, dict[str, str]]] = {
    "threads": {},
    "notifier": {
        "SEND_LIMIT_S": f"{SEND_LIMIT_S:g}",
        "LEASE_S": f"{1.5 * SEND_LIMIT_S:g}",
        "SMTP_CONNECT_LIMIT_S": "3",
        "LONGEST_PAUSE_S": "4",
        "MAIL_LIMIT": "0",
    },
    "gateway": {"PERSON_WRITES_PER_S": "0", "PERSON_KEPT_MB_PER_H": "0", "THREAD_WRITES_PER_S": "0"},
}


@dataclass
class Stack:
    """Everything that faults may touch. `amqp` is by service: the way of its two processes to RabbitMQ."""

    parley: Parley
    rabbit: SharedRabbit
    rabbit_disk: SmallDisk
    mongo: ReplicaSet
    mongo_disks: list[SmallDisk]
    amqp: dict[str, Proxy]
    clocks: dict[str, Clock] = field(default_factory=dict)

    @property
    def smtp(self) -> SmtpServer:
        return self.parley.smtp

    @property
    def processes(self) -> list[ServiceProcess]:
        return list(self.parley.services.values())

    def pair(self, service: str) -> list[ServiceProcess]:
        return [process for process in self.processes if process.service == service]

    def heal(self) -> None:
        """Undoes everything that a fault may have left; every server runs afterwards, and every service is started."""
        for proxy in [*self.amqp.values(), *(member.proxy for member in self.mongo.members)]:
            proxy.heal()
        for disk in (self.rabbit_disk, *self.mongo_disks):
            disk.clear()
        for clock in self.clocks.values():
            clock.jump(0)
        self.smtp.behave()
        self.smtp.start()
        self.mongo.resume()
        self.mongo.start()
        self.rabbit.bring_back()
        for process in self.processes:
            process.resume()
            if not process.is_running:
                process.start()


def end_in_order_when_told() -> None:
    """SIGTERM ends the program as Ctrl-C does: servers are stopped, and small disks are not left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[Stack]:
    """The whole stack, ready; killed in the end."""
    with ExitStack() as exits:
        stack = _servers(directory, exits)
        for service in SERVICES:
            for label in (service, f"{service}-2"):
                _add(stack, directory, service, label).start()
        await stack.parley.ready(timeout_s=90)
        yield stack


def _servers(directory: Path, exits: ExitStack) -> Stack:
    runner = ProxyLoop()
    exits.callback(runner.close)
    smtp = SmtpServer()
    smtp.start()
    exits.callback(smtp.close)
    rabbit_disk = exits.enter_context(small_disk(directory / "rabbitmq", size_mb=RABBITMQ_DISK_MB))
    rabbit = exits.enter_context(local_rabbit(directory))
    disks = [exits.enter_context(small_disk(directory / f"mongo-{n}", size_mb=MONGODB_DISK_MB)) for n in range(3)]
    mongo = exits.enter_context(replica_set(directory, runner))
    shared = SharedMongo(mongo.url, mongo)
    parley = Parley(
        vhost=make_vhost(rabbit), mongo=shared, databases=FreshDatabases(shared), smtp=smtp, directory=directory
    )
    amqp = {name: Proxy(runner, rabbit.address.port, speaks_amqp=True).start() for name in SERVICES}
    for proxy in amqp.values():
        exits.callback(proxy.close)
    stack = Stack(parley, rabbit, rabbit_disk, mongo, disks, amqp)
    exits.callback(_tidy, stack)
    exits.callback(parley.kill)
    return stack


def _tidy(stack: Stack) -> None:
    for process in stack.processes:
        Clock.tidy(process.pid)


def _add(stack: Stack, directory: Path, service: str, label: str) -> ServiceProcess:
    """The second of each has a clock that can be set; the second gateway asks the second threads."""
    settings = {**SETTINGS[service], "AMQP_URL": _through(stack, service), "LOG_LEVEL": "info"}
    if label != service:
        if Clock.is_there():
            stack.clocks[label] = Clock(directory / f"{label}.clock")
            settings |= stack.clocks[label].settings
        if service == "gateway":
            settings["THREADS_URL"] = stack.parley.services["threads-2"].url
    return stack.parley.add(service, label=label, **settings)


def _through(stack: Stack, service: str) -> str:
    url = stack.parley.vhost.url(service)
    return url.replace(f"{LOOPBACK}:{urlsplit(url).port}", f"{LOOPBACK}:{stack.amqp[service].port}")
