"""The audit of a stack that is being written to: what is under way is no fault, and a fault is one also while others write."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from services.threads import audit
from services.threads.access import Parties
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.thread import Made, Thread, decide
from shared.fields import in_milliseconds
from tests.made import post, snapshot
from tests.servers.pace import every

Store = AsyncDatabase[dict[str, Any]]
WRITES_EVERY_S = 0.05
UNDER_WAY_S = 0.03


async def _writes(store: Store, order_id: str) -> None:
    """A worker on one thread: an entry is committed, and projected a moment later."""
    thread = Thread(Parties(order_id, "c-7", "s-1", guest=False), certain=True)
    async for _ in every(WRITES_EVERY_S):
        decision = decide(post("Hello", order_id=order_id), thread, digest="d", now=in_milliseconds(datetime.now(UTC)))
        assert isinstance(decision, Made)
        thread = decision.thread
        await Log(store).insert([[decision.entry]])
        async for turn in every(UNDER_WAY_S):
            if turn:
                break
        await Projection(store).write_entries([decision.entry])
        await Log(store).mark_finished([decision.entry])


async def test_what_is_being_written_is_no_finding_and_what_is_wrong_is_one(store: Store) -> None:
    for order_id in ("busy", "wrong"):
        await Orders(store).keep(snapshot(order_id))
        await Projection(store).write_order(snapshot(order_id))
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(_writes(store, "busy"))
        for _ in range(4):
            assert (await audit.audit(store, now=datetime.now(UTC))).findings == []
        await store["threads"].update_one({"_id": "wrong"}, {"$set": {"unread.seller": 9}})
        found = await audit.audit(store, now=datetime.now(UTC))
        writing.cancel()
    assert [(each.order_id, each.what) for each in found.findings] == [
        ("wrong", "the projection differs from a rebuild")
    ]
