"""RabbitMQ for tests: one broker for the session, and a fresh virtual host with the whole topology for each test."""

import asyncio
import base64
import http.client
import json
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustConnection

from shared.topology import MAX_QUEUED_MESSAGES, USERS, definitions
from tests.servers.control import Control
from tests.servers.waiting import eventually_now

ADMIN = "operator"
PASSWORDS = {user: f"{user}-password" for user in USERS}
REQUEST_TIMEOUT_S = 30
CTL_TIMEOUT_S = 60

# How many quorum queues there are, have a leader, dead-letter at least once, and have the worker for that. Seen on 3.10.8: a queue
# that was declared within the last second or so before SIGKILL comes back without a leader, for good (its first term was not on
# disk yet); so an election is called where there is none. And a virtual host that is deleted before the workers have settled
# takes their supervisor down with it, after which no such queue can be declared any more.
SETTLE = """
Quorum = [Q || Q <- rabbit_amqqueue:list(), amqqueue:get_type(Q) =:= rabbit_quorum_queue],
HasLeader = fun(Q) -> element(1, ra:members(amqqueue:get_pid(Q), 500)) =:= ok end,
{Led, Leaderless} = lists:partition(HasLeader, Quorum),
[ra:trigger_election(amqqueue:get_pid(Q)) || Q <- Leaderless],
Strategy = fun(Q) -> rabbit_misc:table_lookup(amqqueue:get_arguments(Q), <<"x-dead-letter-strategy">>) end,
DeadLettering = [Q || Q <- Quorum, Strategy(Q) =:= {longstr, <<"at-least-once">>}],
Workers = [P || {_, P, _, _} <- supervisor:which_children(rabbit_fifo_dlx_sup), is_pid(P)],
[sys:get_state(P) || P <- Workers],
io_lib:format("~b ~b ~b ~b", [length(Quorum), length(Led), length(DeadLettering), length(Workers)]).
"""

# Asks the queues themselves: what `rabbitmqctl list_queues` and the management API say of a quorum queue is up to five seconds old.
HELD = """
Held = fun(Name) ->
    {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"%s">>, queue, Name)),
    {ok, {_, Total}, _} = ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1),
    Total
end,
lists:sum([Held(Name) || Name <- [%s]]).
"""

Ctl = Callable[[Sequence[str]], str]
"""Runs `rabbitmqctl` with these arguments and gives its output. Raises AssertionError where it fails."""


class Refused(Exception):
    """RabbitMQ's management API said no."""


class Management:
    """RabbitMQ's management HTTP API, as far as tests need it."""

    def __init__(self, host: str, port: int, *, user: str, password: str) -> None:
        self._host, self.port = host, port
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer, None where there is none. Raises Refused where RabbitMQ says no."""
        connection = http.client.HTTPConnection(self._host, self.port, timeout=REQUEST_TIMEOUT_S)
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        try:
            connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {content[:500].decode(errors='replace')}")
        return json.loads(content) if content else None

    def answers(self) -> bool:
        try:
            self.call("GET", "/whoami")
        except (OSError, http.client.HTTPException, Refused, ValueError):
            return False
        return True


@dataclass(frozen=True)
class RabbitAddress:
    host: str
    port: int
    management: Management
    exporter_port: int | None = None


class SharedRabbit:
    """The session's broker. What a test did to it (`stop`, `kill`, `pause`, `block`) is undone by `bring_back`."""

    def __init__(self, address: RabbitAddress, control: Control, *, ctl: Ctl | None = None) -> None:
        self.address = address
        self._control, self._ctl = control, ctl
        self._undo: list[str] = []

    def url(self, user: str, vhost: str) -> str:
        return f"amqp://{user}:{PASSWORDS[user]}@{self.address.host}:{self.address.port}/{quote(vhost, safe='')}"

    def start(self) -> None:
        """Returns when clients can connect and every queue is there for them."""
        self._control.start()
        self._undo = [step for step in self._undo if step != "start"]
        if self._ctl is not None:
            eventually_now(self._is_settled, what="a leader for every quorum queue")

    def stop(self) -> None:
        """In good order: clients are told. Takes about six seconds; `kill` takes none."""
        self._control.stop()
        self._undo.append("start")

    def kill(self) -> None:
        """As a power cut would."""
        self._control.kill()
        self._undo.append("start")

    def pause(self) -> None:
        """Connections stay open and nothing answers any more."""
        self._control.pause()
        self._undo.append("resume")

    def resume(self) -> None:
        self._control.resume()
        self._undo = [step for step in self._undo if step != "resume"]

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """While in it, the broker has its memory alarm: it takes no publishes from anybody."""
        self.ctl("set_vm_memory_high_watermark", "0.00000001")
        self._undo.append("unblock")
        yield
        self._unblock()

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl`, for a broker of our own. Takes half a second."""
        if self._ctl is None:
            pytest.skip("this test needs rabbitmqctl, and the broker was given by its address")
        return self._ctl(arguments)

    def close_connections(self, vhost: str, *, reason: str = "closed by a test") -> None:
        """The broker closes every connection in this virtual host, as it does for maintenance."""
        self.ctl("close_all_connections", "--vhost", vhost, reason)

    def bring_back(self) -> None:
        """Undoes what a test left undone. Harmless where it left nothing."""
        for step in ("resume", "start", "unblock"):
            if step in self._undo:
                {"resume": self.resume, "start": self.start, "unblock": self._unblock}[step]()

    def _is_settled(self) -> bool:
        quorum, led, dead_lettering, workers = self.ctl("eval", SETTLE).strip().strip('"').split()
        return quorum == led and dead_lettering == workers

    def _unblock(self) -> None:
        self.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
        self._undo = [step for step in self._undo if step != "unblock"]


class Vhost:
    """A virtual host with Parley's topology, users and permissions, empty, for one test."""

    def __init__(self, server: SharedRabbit, name: str) -> None:
        self.server, self.name = server, name

    def url(self, user: str) -> str:
        """The AMQP address for one of the topology's users."""
        return self.server.url(user, self.name)

    async def connect(self, user: str = ADMIN) -> AbstractRobustConnection:
        """A connection that the caller closes (`async with`). The operator may do anything here."""
        return await aio_pika.connect_robust(self.url(user), timeout=10)

    async def depth(self, queue: str) -> int:
        """How many messages are ready in the queue; those that a consumer has in hand do not count: see `held`."""
        async with await self.connect() as connection:
            channel = await connection.channel()
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0

    async def held(self, *queues: str) -> int:
        """How many messages these quorum queues still have to keep: those that are ready, and those that a consumer has in hand."""
        names = ", ".join(f'<<"{queue}">>' for queue in queues)
        return int(await asyncio.to_thread(self.server.ctl, "eval", HELD % (self.name, names)))

    async def take_all(self, queue: str) -> list[AbstractIncomingMessage]:
        """Every message that is ready, taken out of the queue; its `headers` and `body` can be looked at."""
        taken: list[AbstractIncomingMessage] = []
        async with await self.connect() as connection:
            channel = await connection.channel()
            source = await channel.get_queue(queue, ensure=False)
            while (message := await source.get(fail=False, timeout=10)) is not None:
                await message.ack()
                taken.append(message)
        return taken

    def delete(self) -> None:
        self.server.address.management.call("DELETE", f"/vhosts/{self.name}")


def local_ctl(command: str) -> Ctl:
    """`rabbitmqctl` as this command of the machine. Takes half a second each time."""

    def run(arguments: Sequence[str]) -> str:
        done = subprocess.run(
            [command, "--quiet", *arguments], capture_output=True, text=True, timeout=CTL_TIMEOUT_S, check=False
        )
        assert done.returncode == 0, f"rabbitmqctl {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    return run


def make_users(management: Management) -> None:
    """The topology's users on a broker that does not have them. The definitions of a local node make them already."""
    for user in USERS:
        tags = "administrator" if user == ADMIN else ""
        management.call("PUT", f"/users/{user}", {"password": PASSWORDS[user], "tags": tags})


def make_vhost(server: SharedRabbit, *, max_queued: int = MAX_QUEUED_MESSAGES) -> Vhost:
    """A new virtual host, in about 0.1 s. `max_queued` is the length at which work queues refuse publishes."""
    management, name = server.address.management, f"test-{uuid.uuid4().hex[:12]}"
    document = definitions(PASSWORDS, max_queued=max_queued)
    management.call("PUT", f"/vhosts/{name}", {})
    for permission in document["permissions"]:
        _allow(management, f"/permissions/{name}/{permission['user']}", permission)
    for permission in document.get("topic_permissions", ()):
        _allow(management, f"/topic-permissions/{name}/{permission['user']}", permission)
    parts = {part: [_without_vhost(entry) for entry in document[part]] for part in ("exchanges", "queues", "bindings")}
    management.call("POST", f"/definitions/{name}", parts)
    return Vhost(server, name)


def _allow(management: Management, path: str, permission: dict[str, Any]) -> None:
    rights = {name: value for name, value in permission.items() if name not in ("user", "vhost")}
    management.call("PUT", path, rights)


def _without_vhost(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "vhost"}
