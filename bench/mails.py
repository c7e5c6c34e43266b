"""B5: mails a second, from queued events to mails that an SMTP server has accepted, beside smtplib that only sends the same bodies.

`python -m bench.mails`. Ours reads the event, keeps the ledger (taken, leased, transmitting, sent: each acknowledged by a majority
of MongoDB with its journal, but the lease), renders, and sends; smtplib sends mails that were rendered before. Both to the same server,
which has each mail on the disk before it says 250; a second row has a server that keeps nothing.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.cpu import cpu_s
from bench.rounds import ROUNDS, Row, compare, line
from bench.sinks import SinkProcess
from deploy.local.ports import free_port
from services.notifier.rendering import MailSettings, Renderer
from shared import topology
from shared.events import EntryAddressed
from shared.orders import Item
from shared.publishing import Outgoing, Publisher
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import Vhost, make_vhost
from tests.servers.services import ServiceProcess
from tests.unit.notifier.making import event, mail, order

MAILS: Final = 2_000
AIM: Final = 1.5
DRAIN_LIMIT_S: Final = 60.0
CONNECTIONS: Final = 32
TEXT: Final = "The parcel left our house this morning; the carrier says Thursday. " * 3
ITEMS: Final = [
    Item(sku=f"2219{number}", name=f"Small heart measuring spoons, set {number}", quantity=2, price="9.90")
    for number in range(3)
]
MAIL: Final = MailSettings(
    sender="The Shop <orders@shop.example>",
    thread_url="https://shop.example/threads/{order_id}",
    unsubscribe_url="https://shop.example/v1/unsubscribe",
)


def environment(vhost: Vhost, mongo: SharedMongo, database: str, smtp_port: int) -> dict[str, str]:
    """The notifier's settings: as they are by default, but no delay, no limit for one person, and more connections."""
    return {
        "AMQP_URL": vhost.url("notifier"),
        "MONGO_URL": mongo.url,
        "MONGO_DATABASE": database,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(smtp_port),
        "SMTP_SECURITY": "none",
        "SMTP_CONNECTIONS": str(CONNECTIONS),
        "MAIL_FROM": MAIL.sender,
        "MAIL_DELAY": "0",
        "MAIL_LIMIT": "0",
        "THREAD_URL": MAIL.thread_url,
        "UNSUBSCRIBE_URL": f"{MAIL.unsubscribe_url}",
        "HTTP_PORT": str(free_port()),
        "LOG_FORMAT": "json",
    }


class Drain:
    """A notifier, the queue that it reads, and a sink; each round has events of its own, each about another order."""

    def __init__(self, notifier: ServiceProcess, publisher: Publisher, sink: SinkProcess) -> None:
        self.notifier, self._publisher, self._sink = notifier, publisher, sink
        self._orders = 0
        self.cpu_us: list[float] = []

    async def __call__(self) -> float:
        """Mails a second: the queue fills while the notifier stands still; the time begins when it may go on."""
        self._sink.forget()
        before = await self._sink.accepted()
        self.notifier.pause()
        await self._publish(MAILS)
        cpu_before_s, loop = cpu_s([self.notifier.pid]), asyncio.get_running_loop()
        began = loop.time()
        self.notifier.resume()
        await self._sink.reaches(before + MAILS, within_s=DRAIN_LIMIT_S)
        took_s = loop.time() - began
        self.cpu_us.append((cpu_s([self.notifier.pid]) - cpu_before_s) / MAILS * 1e6)
        return MAILS / took_s

    async def _publish(self, count: int) -> None:
        numbers = range(self._orders, self._orders + count)
        self._orders += count
        events = [event(TEXT, about=order(f"bench-{number}", items=ITEMS)) for number in numbers]
        await asyncio.gather(*(self._publisher.publish(_message(each)) for each in events))


def _message(told: EntryAddressed) -> Outgoing:
    body = told.model_dump_json(exclude_none=True).encode()
    return Outgoing(topology.NOTIFICATIONS, "message.posted", body, message_id=told.id)


class Smtplib:
    """The baseline, with mails that were rendered of the same events."""

    def __init__(self, file: Path, sink: SinkProcess) -> None:
        self._file, self._sink = file, sink
        renderer = Renderer(MAIL)
        told = [
            mail(event(TEXT, about=order(f"bench-{number}", items=ITEMS)), mail_id=f"{number:032x}")
            for number in range(MAILS)
        ]
        bodies = [renderer.render(each, each.entries, locale="en").content for each in told]
        file.write_bytes(b"".join(len(body).to_bytes(4) + body for body in bodies))
        self.size_bytes = len(bodies[0])

    async def __call__(self) -> float:
        self._sink.forget()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.baselines.mails", str(self._sink.port), str(self._file)),
            stdout=asyncio.subprocess.PIPE,
        )
        return MAILS / float((await process.communicate())[0])


@asynccontextmanager
async def notifying(
    vhost: Vhost, mongo: SharedMongo, database: str, sink: SinkProcess, directory: Path
) -> AsyncIterator[Drain]:
    """A notifier that is ready, and a publisher for its queue."""
    notifier = ServiceProcess("notifier", environment(vhost, mongo, database, sink.port), directory=directory)
    publisher = Publisher(vhost.url("threads"), name="bench")
    try:
        await notifier.start().ready()
        await publisher.connected()
        yield Drain(notifier, publisher, sink)
    finally:
        await publisher.close()
        notifier.kill()


async def measure(*, rounds: int = ROUNDS) -> list[Row]:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        (directory / "kept").mkdir()
        with shared_rabbit(directory) as rabbit, shared_mongo(directory) as mongo:
            databases = FreshDatabases(mongo)
            rows: list[Row] = []
            for what, kept in (("each on the disk before 250", directory / "kept"), ("the server keeps nothing", None)):
                rows.append(await _measure(what, kept, make_vhost(rabbit), mongo, databases, directory, rounds))
            databases.drop()
            return rows


async def _measure(
    what: str,
    kept: Path | None,
    vhost: Vhost,
    mongo: SharedMongo,
    databases: FreshDatabases,
    directory: Path,
    rounds: int,
) -> Row:
    async with AsyncExitStack() as running:
        sink = await running.enter_async_context(SinkProcess(kept))
        drain = await running.enter_async_context(notifying(vhost, mongo, databases("notifier"), sink, directory))
        smtplib = Smtplib(directory / "bodies", sink)
        await drain()
        row = await compare(
            drain,
            smtplib,
            name="B5",
            what=f"events to mails of {smtplib.size_bytes:,} bytes, {CONNECTIONS} SMTP connections; {what}",
            baseline_is="smtplib, one kept connection, mails already rendered",
            unit="mails/s",
            aim=AIM,
            rounds=rounds,
        )
    least, most = min(drain.cpu_us[1:]), max(drain.cpu_us[1:])
    return replace(row, note=f"the notifier's CPU: {least:.0f} to {most:.0f} us a mail")


if __name__ == "__main__":
    for row in asyncio.run(measure(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)):
        print(line(row))
