"""B1: posts a second that the gateway takes (`Prefer: respond-async`), beside a bare ASGI function that publishes the same bytes.

Each is one process, alone on the machine but for RabbitMQ and the one process that posts. The same requests go to both: a token, an
Idempotency-Key of their own, 200 characters of text. Limits on writes are off, since one person posts it all.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.posters import MARK
from bench.rounds import ROUNDS, Row, line
from deploy.local.ports import free_port
from services.gateway.command_ids import CommandIds
from services.gateway.writes import heading
from shared import topology
from shared.callers import Caller
from shared.commands import CommandOutcome, MessageToPost, PostMessage
from tests.integration.gateway.conftest import COMMAND_ID_SECRET, environment, token
from tests.integration.gateway.standins import QueryApi
from tests.servers.providers import shared_rabbit
from tests.servers.rabbitmq import Vhost, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually_now

CONNECTIONS: Final = 64
SECONDS: Final = 4.0
AIM: Final = 0.9
CPU_AIM: Final = 0.7
ORDER_ID: Final = "1042"
TEXT: Final = "When will it be sent? " * 9 + "Thanks"
TICKS: Final = os.sysconf("SC_CLK_TCK")


def request() -> bytes:
    """One post as a browser's client sends it; posters.py gives each its own key."""
    body = json.dumps({"text": TEXT}).encode()
    head = (
        f"POST /v1/orders/{ORDER_ID}/messages HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {token(life_s=3_600)}\r\nPrefer: respond-async\r\nContent-Length: {len(body)}\r\n"
    )
    return head.encode() + b"Idempotency-Key: " + MARK + b"\r\n\r\n" + body


def command_and_answer() -> tuple[bytes, bytes]:
    """What the gateway publishes for such a request, and what it answers."""
    caller = Caller(role="customer", id="c-7", name="c-7")
    command_id = CommandIds(COMMAND_ID_SECRET).new(caller.key)
    asked = MessageToPost(order_id=ORDER_ID, caller=caller, text=TEXT)
    command = PostMessage(**heading(command_id, order_id=ORDER_ID), data=asked)
    outcome = CommandOutcome(command_id=command_id, order_id=ORDER_ID, state="accepted", status=202)
    return command.model_dump_json(exclude_none=True).encode(), outcome.model_dump_json().encode()


@dataclass
class Contestant:
    """A server, and what each round found of it."""

    process: ServiceProcess
    request_file: Path
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    posters_cpu: list[float] = field(default_factory=list)

    async def round(self, *, connections: int = CONNECTIONS, seconds: float = SECONDS) -> None:
        cpu_before_s = self._cpu_s()
        arguments = [str(self.process.port), str(connections), str(seconds), str(self.request_file)]
        posters = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.posters", *arguments, stdout=asyncio.subprocess.PIPE
        )
        said = json.loads((await posters.communicate())[0])
        assert said["failures"] == 0, said["failure"]
        self.rates.append(said["posts"] / said["seconds"])
        self.cpu_us.append((self._cpu_s() - cpu_before_s) / said["all_posts"] * 1e6)
        self.p99_ms.append(said["p99_ms"])
        self.posters_cpu.append(said["own_cpu"])

    def _cpu_s(self) -> float:
        """User and system time of the process, whose name in the kernel's file may hold spaces."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


@asynccontextmanager
async def contestants(directory: Path) -> AsyncIterator[tuple[Contestant, Contestant, Vhost]]:
    """The gateway and the baseline, on one RabbitMQ with Parley's whole topology."""
    command, answer = command_and_answer()
    files = {"command": command, "answer": answer, "request": request()}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    with shared_rabbit(directory) as rabbit:
        vhost = make_vhost(rabbit)
        async with QueryApi(free_port()).serving() as query_api:
            ours = ServiceProcess("gateway", environment(vhost, query_api), directory=directory)
            settings = {
                "AMQP_URL": vhost.url("gateway"),
                "COMMAND_FILE": str(directory / "command"),
                "ANSWER_FILE": str(directory / "answer"),
            }
            bare = ServiceProcess("baseline", settings, directory=directory, module="bench.baselines.gateway")
            try:
                await ours.start().ready()
                bare.start()
                await asyncio.to_thread(eventually_now, lambda: bare.status_of("/") == 202, what="the baseline")
                yield Contestant(ours, directory / "request"), Contestant(bare, directory / "request"), vhost
            finally:
                ours.kill()
                bare.kill()


async def purge(vhost: Vhost) -> None:
    async with await vhost.connect() as connection:
        queue = await (await connection.channel()).get_queue(topology.COMMANDS_QUEUE, ensure=False)
        await queue.purge()


async def measure(*, rounds: int = ROUNDS) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        async with contestants(Path(directory)) as (ours, bare, vhost):
            for _ in range(rounds):
                for each in (ours, bare):
                    await each.round()
                    await purge(vhost)
    return [*_rows(ours, bare)]


def _rows(ours: Contestant, bare: Contestant) -> list[Row]:
    what = f"POST with Prefer: respond-async, {CONNECTIONS} connections"
    baseline = "bare ASGI function publishing the same bytes, aio-pika"
    note = f"the posting process used {max(*ours.posters_cpu, *bare.posters_cpu):.0%} of a core at most"
    rates = [mine / theirs for mine, theirs in zip(ours.rates, bare.rates, strict=True)]
    costs = [theirs / mine for mine, theirs in zip(ours.cpu_us, bare.cpu_us, strict=True)]
    return [
        Row("B1", what, baseline, "posts/s", ours.rates, bare.rates, rates, AIM, note=note),
        Row(
            "B1",
            "the same, CPU time of the process (baseline : ours)",
            baseline,
            "us a post",
            ours.cpu_us,
            bare.cpu_us,
            costs,
            CPU_AIM,
        ),
    ]


if __name__ == "__main__":
    for row in asyncio.run(measure()):
        print(line(row))
