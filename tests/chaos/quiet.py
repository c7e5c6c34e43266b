"""Quiescence: everything runs again, and nothing is left to do."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from services.notifier import steps
from shared import topology
from shared.mongo import Database, connect, database
from tests.chaos.stack import Stack
from tests.servers.pace import lasting
from tests.servers.waiting import eventually

QUIET_LIMIT_S: Final = 180
READY_LIMIT_S: Final = 60
# A mail that fails again and again under faults is tried again so often by the operator of this run.
RETRIES: Final = 5
RETRY_QUEUES: Final = tuple(
    topology.retry_queue(queue, tier) for queue in topology.WORK_QUEUES for tier in topology.tiers(queue)
)
WATCHED: Final = (*topology.WORK_QUEUES, *RETRY_QUEUES)


async def quiet(stack: Stack) -> float:
    """Waits until nothing is left to do; how many seconds that took. Mails that were left to an operator are tried again, as one would."""
    began = time.monotonic()
    await stack.parley.ready(timeout_s=READY_LIMIT_S)
    client = connect(stack.parley.mongo.url, name="chaos")
    threads = database(client, stack.parley.database_names["threads"])
    notifier = database(client, stack.parley.database_names["notifier"])

    async def nothing_left() -> bool:
        if any((await depths(stack, WATCHED)).values()):
            return False
        unfinished = await threads["entries"].count_documents({"unfinished": True})
        waiting = await notifier["mails"].count_documents({"alive": True})
        return unfinished == 0 and waiting == 0

    for _ in range(RETRIES):
        await eventually(nothing_left, timeout_s=QUIET_LIMIT_S, what="quiescence")
        # What was under way between two looks shows at the next.
        await lasting(1)
        if not await _retried(notifier) and await nothing_left():
            break
    await client.close()
    return time.monotonic() - began


async def depths(stack: Stack, queues: Sequence[str]) -> dict[str, int]:
    """How many messages each of these queues has, in consumers' hands included. Raises AssertionError where one cannot say."""
    listed = await asyncio.to_thread(
        stack.rabbit.ctl, "list_queues", "--vhost", stack.parley.vhost.name, "--no-table-headers", "name", "messages"
    )
    found = dict(line.split("\t") for line in listed.splitlines() if "\t" in line)
    assert all(found.get(queue, "").isdigit() for queue in queues), found
    return {queue: int(found[queue]) for queue in queues}


async def _retried(notifier: Database) -> int:
    """As `make ctl DO="mails retry ID"`, for each that needs somebody."""
    needing = {"state": {"$in": ["failed", "ambiguous"]}}
    return (await notifier["mails"].update_many(needing, steps.retried())).modified_count
