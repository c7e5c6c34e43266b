"""The moments at which a broker is lost that a client's library tells in its own ways, for tests of whoever connects to one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import aiormq
import pytest
import uvloop
from pamqp import commands

from services.threads import order_events
from shared import connections, verify
from tests.servers.amqp_stub import StubBroker, answers_and, closes, falls_silent, hangs_up, resets

Moment = Callable[[StubBroker], StubBroker]

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


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent peer is noticed within three seconds (while it connects, within one), and what was lost is tried again at once."""
    monkeypatch.setattr(connections, "HEARTBEAT_S", 1)
    monkeypatch.setattr(aiormq.Connection, "HEARTBEAT_GRACE_MULTIPLIER", 1)
    monkeypatch.setattr(connections, "RECONNECT_S", 0.05)
    for module in (connections, order_events, verify):
        monkeypatch.setattr(module, "CONNECT_LIMIT_S", 1)
    monkeypatch.setattr(verify, "AGAIN_S", 0.05)


def on_the_services_loop(work: Coroutine[Any, Any, None]) -> None:
    """uvloop: on asyncio's own, the end of a connection is always seen a moment later."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)
