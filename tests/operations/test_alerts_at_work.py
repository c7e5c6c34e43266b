"""Each alert fires on a real fault: the services, RabbitMQ, MongoDB and an SMTP server for real, watched by Debian's Prometheus.

The rules are those of deploy/prometheus/alerts.yml with every window and every `for` thirty times shorter. It takes some
minutes, so it runs where it is asked for:  make prove-alerts
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
import aiormq
import pytest
import yaml

from deploy.local.ports import LOOPBACK
from shared import topology
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.operations.prometheus import (
    Prometheus,
    configuration,
    needs_prometheus,
    prometheus_at_work,
    quicker,
    targets_of,
)
from tests.operations.queries import ALERTS, alert_rules
from tests.servers.mongodb import SharedMongo
from tests.servers.pace import every, lasting
from tests.servers.parley import Parley
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.smtp import AFTER_DOT
from tests.servers.waiting import eventually

pytestmark = [
    pytest.mark.timeout(1_200),
    needs_prometheus,
    pytest.mark.skipif(
        os.environ.get("PROVE_ALERTS") != "1", reason="made faults take minutes: make prove-alerts asks for them"
    ),
]

TIMES_SHORTER: Final = 30
FIRES_WITHIN_S: Final = 150.0
PACE_S: Final = 0.1
QUEUE_FILLED_TO: Final = 400_001
FROZEN_S, AWAKE_S = 0.7, 0.5
SLOW_READERS, WAVES, LARGE_POSTS = 60, 3, 600
LATE_AFTER_S: Final = 300.0


@dataclass(frozen=True)
class Scene:
    """A Parley with two workers, and everything that can be done to it."""

    parley: Parley
    rabbitmq: SharedRabbit
    mongo: SharedMongo
    clients: Clients

    def path_of(self, queue: str) -> str:
        return f"/queues/{quote(self.parley.vhost.name, safe='')}/{queue}"

    def purge(self, queue: str) -> None:
        self.rabbitmq.address.management.call("DELETE", f"{self.path_of(queue)}/contents")


Fault = Callable[[Scene], contextlib.AbstractAsyncContextManager[None]]


@asynccontextmanager
async def a_worker_is_killed(scene: Scene) -> AsyncIterator[None]:
    worker = scene.parley.services["threads-2"]
    worker.kill()
    yield
    await worker.start().ready()


@asynccontextmanager
async def a_worker_gets_no_processor(scene: Scene) -> AsyncIterator[None]:
    worker = scene.parley.services["threads-2"]

    async def freeze() -> None:
        async for _ in every(AWAKE_S):
            await asyncio.to_thread(worker.pause)
            await lasting(FROZEN_S)
            worker.resume()

    async with _going_on(freeze):
        yield
    worker.resume()


@asynccontextmanager
async def somebody_publishes_nonsense(scene: Scene) -> AsyncIterator[None]:
    async with _channel(scene) as channel:

        async def publish() -> None:
            async for _ in every(PACE_S):
                await channel.basic_publish(b"nonsense", exchange=topology.COMMANDS, routing_key="message.post")

        async with _going_on(publish):
            yield
    dead = topology.dead_queue(topology.COMMANDS_QUEUE)
    await eventually(lambda: scene.parley.vhost.depth(dead), what="dead letters")
    scene.purge(dead)


@asynccontextmanager
async def a_binding_is_missing(scene: Scene) -> AsyncIterator[None]:
    call = scene.rabbitmq.address.management.call
    vhost = quote(scene.parley.vhost.name, safe="")
    binding = f"/bindings/{vhost}/e/{topology.NOTIFICATIONS}/q/{topology.NOTIFIER_QUEUE}"
    call("DELETE", f"{binding}/%23")
    yield
    call("POST", binding, {"routing_key": "#"})


@asynccontextmanager
async def mongodb_freezes(scene: Scene) -> AsyncIterator[None]:
    scene.mongo.pause()
    yield
    scene.mongo.resume()
    await scene.parley.ready(timeout_s=60)


@asynccontextmanager
async def many_live_connections_do_not_read(scene: Scene) -> AsyncIterator[None]:
    """Several waves, so that it goes on for longer than a moment."""
    seller = scene.clients.seller()

    async def waves() -> None:
        for _ in range(WAVES):
            readers = await asyncio.gather(*(_slow_reader(scene) for _ in range(SLOW_READERS)))
            for _ in range(LARGE_POSTS // 20):
                await asyncio.gather(*(_try(seller.post("x" * 10_000, Prefer="respond-async")) for _ in range(20)))
            for reader in readers:
                reader.close()

    async with _going_on(waves):
        yield


@asynccontextmanager
async def rabbitmq_is_short_of_memory(scene: Scene) -> AsyncIterator[None]:
    with scene.rabbitmq.blocked():
        yield
    await scene.parley.ready(timeout_s=60)


@asynccontextmanager
async def rabbitmq_confirms_nothing(scene: Scene) -> AsyncIterator[None]:
    scene.rabbitmq.pause()
    yield
    scene.rabbitmq.resume()
    await scene.parley.ready(timeout_s=60)


@asynccontextmanager
async def every_notifier_is_gone_and_its_queue_fills(scene: Scene) -> AsyncIterator[None]:
    notifier = scene.parley.services["notifier"]
    notifier.kill()
    async with _channel(scene) as channel:
        for number in range(QUEUE_FILLED_TO):
            # Now and then the socket is drained, so that RabbitMQ's pace is ours.
            await channel.basic_publish(
                b"x", exchange="", routing_key=topology.NOTIFIER_QUEUE, wait=number % 1_000 == 999
            )
    yield
    scene.purge(topology.NOTIFIER_QUEUE)
    await notifier.start().ready()


@asynccontextmanager
async def the_mail_server_is_away(scene: Scene) -> AsyncIterator[None]:
    """It has been, since the start of the test: a mail must have been due for five minutes."""
    yield
    smtp = scene.parley.smtp
    before = len(smtp.mails)
    smtp.start()
    await smtp.wait_for(before + 1, timeout_s=90)


@asynccontextmanager
async def an_address_does_not_exist(scene: Scene) -> AsyncIterator[None]:
    scene.parley.smtp.refuse("seller@example.com")
    yield
    scene.parley.smtp.accept("seller@example.com")


@asynccontextmanager
async def the_mail_server_hangs_up_after_the_text(scene: Scene) -> AsyncIterator[None]:
    scene.parley.smtp.drop_data(AFTER_DOT, times=100)
    yield


FAULTS: Final[dict[Fault, set[str]]] = {
    a_worker_is_killed: {"ParleyProcessDown"},
    a_worker_gets_no_processor: {"ParleyEventLoopLate"},
    somebody_publishes_nonsense: {"ParleyDeadLetters", "ParleyDeadLettersPourIn"},
    a_binding_is_missing: {"ParleyEntriesUnfinished"},
    mongodb_freezes: {"ParleyReadsFail", "ParleyReadsSlow", "ParleyCommandsWait"},
    many_live_connections_do_not_read: {"ParleyLiveConnectionsCutOff"},
    rabbitmq_is_short_of_memory: {"ParleyWritesFail", "ParleyRabbitMqAlarm"},
    rabbitmq_confirms_nothing: {"ParleyNothingConfirmed"},
    every_notifier_is_gone_and_its_queue_fills: {
        "ParleyServiceGone",
        "ParleyNoConsumer",
        "ParleyQueueLong",
        "ParleyQueueNearlyFull",
    },
    the_mail_server_is_away: {"ParleyMailServerAway", "ParleyMailsLate"},
    an_address_does_not_exist: {"ParleyMailsFail"},
    the_mail_server_hangs_up_after_the_text: {"ParleyMailsAmbiguous"},
}


async def test_every_alert_fires_on_a_made_fault(
    parley: Parley, rabbitmq: SharedRabbit, mongo: SharedMongo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set().union(*FAULTS.values()) == {rule["alert"] for rule in alert_rules()}
    parley.start("threads", "notifier")
    # One seller makes all the noise that cuts slow readers off.
    parley.start("gateway", PERSON_WRITES_PER_S="0", PERSON_KEPT_MB_PER_H="0", THREAD_WRITES_PER_S="0")
    parley.add("threads", label="threads-2", ROLES="worker").start()
    await parley.ready()
    fired = 0
    async with clients_of(parley) as clients, _watching(parley, tmp_path) as prometheus:
        scene = Scene(parley, rabbitmq, mongo, clients)
        await clients.put_order(snapshot())
        async with _load(clients):
            await parley.smtp.wait_for(1)
            await eventually(prometheus.all_rules_are_evaluated, timeout_s=30, what="every rule")
            # At its own start Prometheus had not seen any process yet.
            await eventually(lambda: prometheus.firing() == set(), timeout_s=30, what="no alert")
            parley.smtp.stop()
            away_since = time.monotonic()
            for fault, alerts in FAULTS.items():
                began = away_since if fault is the_mail_server_is_away else time.monotonic()
                async with fault(scene):
                    for alert, at in (await _fire(prometheus, alerts)).items():
                        fired += 1
                        with capsys.disabled():
                            print(f"      {alert:<28} {at - began:6.1f} s after: {fault.__name__.replace('_', ' ')}")
            await eventually(
                lambda: prometheus.firing() <= {"ParleyMailsFail", "ParleyMailsAmbiguous"},
                timeout_s=FIRES_WITHIN_S,
                what="all being quiet again but the two that look back",
            )
    with capsys.disabled():
        print(
            f"      {fired} of {len(alert_rules())} alerts fired, each on a made fault; windows {TIMES_SHORTER} times shorter"
        )


async def _fire(prometheus: Prometheus, alerts: set[str]) -> dict[str, float]:
    """When each was seen firing first; they need not fire at the same time."""
    seen: dict[str, float] = {}

    async def all_have_fired() -> bool:
        for alert in await asyncio.to_thread(prometheus.firing) & alerts:
            seen.setdefault(alert, time.monotonic())
        return seen.keys() == alerts

    await eventually(all_have_fired, timeout_s=FIRES_WITHIN_S + LATE_AFTER_S, what=f"{sorted(alerts)} firing")
    return seen


@asynccontextmanager
async def _watching(parley: Parley, directory: Path) -> AsyncIterator[Prometheus]:
    """Prometheus on this Parley and its virtual host, with the quicker rules."""
    rules = directory / "alerts.yml"
    rules.write_text(yaml.safe_dump(quicker(yaml.safe_load(ALERTS.read_text()), times=TIMES_SHORTER)))
    settings = configuration(targets_of(parley), vhost=parley.vhost.name, rules=rules)
    with prometheus_at_work(directory / "prometheus", settings) as prometheus:
        yield prometheus


@asynccontextmanager
async def _load(clients: Clients) -> AsyncIterator[None]:
    """People write and read all the time, whatever they are answered."""
    customer = clients.customer()

    async def write() -> None:
        async for _ in every(PACE_S):
            await _try(customer.post("Where is my lamp?"))

    async def read() -> None:
        async for _ in every(PACE_S):
            await _try(customer.get("/v1/orders/1042/messages?limit=20"))

    async with _going_on(write), _going_on(read), _going_on(read):
        yield


async def _try(attempt: Awaitable[object]) -> None:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        await attempt


@asynccontextmanager
async def _going_on(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _channel(scene: Scene) -> AsyncIterator[aiormq.Channel]:
    """The operator's, without confirms."""
    connection = await aiormq.connect(scene.parley.vhost.url("operator"))
    try:
        channel = await connection.channel(publisher_confirms=False)
        assert isinstance(channel, aiormq.Channel)
        yield channel
    finally:
        await connection.close()


async def _slow_reader(scene: Scene) -> socket.socket:
    """A live connection of the customer with a small window, of which nothing is read."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, (LOOPBACK, scene.parley.services["gateway"].port))
    bearer = scene.parley.customer("c-7", "Ada")
    await loop.sock_sendall(
        reader, f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
    )
    return reader
