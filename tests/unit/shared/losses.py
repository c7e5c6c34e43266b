"""The moments at which a broker is lost that a client's library tells in its own ways, for tests of whoever connects to one."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import aiormq
import pytest
import uvloop
from pamqp import commands

from services.threads import order_events
from shared import connections, verify
from tests.servers.amqp_stub import StubBroker, answers_and, closes, falls_silent, hangs_up, resets

T = TypeVar("T")
Moment = Callable[[StubBroker], StubBroker]
Outcomes = Mapping[str, asyncio.Task[None]]
"""What became of each scenario: `result()` returns, or raises what it raised."""

MOMENTS: Final[dict[str, Moment]] = {
    "silent at connection.start": lambda broker: broker.fault(commands.Connection.StartOk, falls_silent),
    "silent at connection.open": lambda broker: broker.fault(commands.Connection.Open, falls_silent),
    "reset at connection.open": lambda broker: broker.fault(commands.Connection.Open, resets),
    "hung up right after open-ok": lambda broker: broker.fault(commands.Connection.Open, answers_and(hangs_up)),
    "closed right after open-ok": lambda broker: broker.fault(commands.Connection.Open, answers_and(closes)),
    "reset right after open-ok": lambda broker: broker.fault(commands.Connection.Open, answers_and(resets)),
    "silent right after open-ok": lambda broker: broker.fault(commands.Connection.Open, answers_and(falls_silent)),
    "reset at channel.open": lambda broker: broker.fault(commands.Channel.Open, resets),
    "closed at channel.open": lambda broker: broker.fault(commands.Channel.Open, closes),
    "silent at channel.open": lambda broker: broker.fault(commands.Channel.Open, falls_silent),
}
AT_CONSUMING: Final[dict[str, Moment]] = {
    "reset at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, resets),
    "closed at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, closes),
    "silent at basic.consume": lambda broker: broker.fault(commands.Basic.Consume, falls_silent),
}


# A stub's heartbeats come every tenth of a second: several have to be late before a peer counts as silent.
SILENT_AFTER_S: Final = 0.5
LOOKS_EVERY_S: Final = 0.1


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent peer is noticed within 0.6 s (while it connects, within 0.5), and what was lost is tried again at once."""
    monkeypatch.setattr(connections, "HEARTBEAT_S", 1)
    # aiormq counts in whole seconds: a peer is silent after (heartbeat + 1) times this, and it looks every max(1, heartbeat // 2).
    monkeypatch.setattr(aiormq.Connection, "HEARTBEAT_GRACE_MULTIPLIER", SILENT_AFTER_S / 2)
    monkeypatch.setattr(aiormq.connection, "max", _looks_often, raising=False)
    for module in (connections, order_events):
        monkeypatch.setattr(module, "RECONNECT_S", 0.05)
    for module in (connections, order_events, verify):
        monkeypatch.setattr(module, "CONNECT_LIMIT_S", SILENT_AFTER_S)
    monkeypatch.setattr(verify, "AGAIN_S", 0.05)


def _looks_often(*given: Any) -> Any:
    return LOOKS_EVERY_S if len(given) == 2 else max(*given)


def on_the_services_loop(work: Coroutine[Any, Any, T]) -> T:
    """uvloop: on asyncio's own, the end of a connection is always seen a moment later."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def all_at_once(scenario: Callable[[Moment], Coroutine[Any, Any, None]], moments: Mapping[str, Moment]) -> Outcomes:
    """The scenario for each moment, all beside each other on one loop: each waits for a limit, and together they wait once."""

    async def run() -> Outcomes:
        tasks = {name: asyncio.create_task(scenario(moment), name=name) for name, moment in moments.items()}
        await asyncio.wait(tasks.values())
        return tasks

    with pytest.MonkeyPatch.context() as monkeypatch:
        hurry(monkeypatch)
        return on_the_services_loop(run())
