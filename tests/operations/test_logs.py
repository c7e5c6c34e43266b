"""What the services log while people write: one line a message with ids, nothing personal, and more of it when asked."""

import json
import os
import signal
from typing import Any

from tests.e2e.client import clients_of
from tests.made import snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_each_service_logs_one_line_a_message_that_can_be_joined(running_parley: Parley) -> None:
    async with clients_of(running_parley) as clients:
        await clients.put_order(snapshot())
        posted = await clients.customer().post("Where is my lamp?", traceparent=f"00-{TRACE_ID}-00f067aa0ba902b7-01")
    message_id = posted.body["id"]
    await running_parley.smtp.wait_for(1)

    named = [("gateway", "write", "command_id"), ("threads", "command_settled", "command_id")]
    named.append(("notifier", "entry_taken", "event_id"))

    def lines() -> list[dict[str, Any]]:
        return [
            line
            for service, event, id_name in named
            for line in running_parley.services[service].log_events
            if line["event"] == event and line.get(id_name) == message_id
        ]

    await eventually(lambda: len(lines()) == len(named), what="a line of each service")
    found = lines()
    assert {line["trace_id"] for line in found} == {TRACE_ID}
    assert len({line["order"] for line in found}) == 1
    assert all(line["ms"] >= 0 and line["level"] == "info" for line in found)
    said = "".join(process.log for process in running_parley.services.values())
    for secret in ("Where is my lamp", "ada@example.com", "bob@example.com", "Bearer"):
        assert secret not in said
    assert '"1042"' not in said


async def test_a_signal_changes_what_is_logged_and_changes_it_back(parley: Parley) -> None:
    parley.start("threads", LOG_LEVEL="error")
    await parley.ready()
    threads = parley.services["threads"]

    def levels() -> list[str]:
        return [line["log_level"] for line in threads.log_events if line["event"] == "log_level_changed"]

    os.kill(threads.pid, signal.SIGUSR1)
    await eventually(lambda: levels() == ["debug"])
    os.kill(threads.pid, signal.SIGUSR1)
    await eventually(lambda: levels() == ["debug", "error"])
    assert threads.is_running


async def test_every_line_is_json(running_parley: Parley) -> None:
    async with clients_of(running_parley) as clients:
        await clients.put_order(snapshot())
    for process in running_parley.services.values():
        assert process.log
        for line in process.log.splitlines():
            assert {"event", "level", "service", "timestamp"} <= set(json.loads(line)), line
