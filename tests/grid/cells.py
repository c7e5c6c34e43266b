"""One cell: a few posts while a service meets a fault at a point, and another process of its kind takes over."""

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from typing import Final

from deploy.ctl import dead
from shared.orders import Customer, Seller
from tests.faults import notifier as notifier_points
from tests.faults import threads as threads_points
from tests.faults.points import DEFECT, FAULTS, SIGNALS, names
from tests.grid.checks import Outcome, Posted, check, is_finished, mails_rest, retry_failed_mails
from tests.grid.frozen import disconnect, stands_still
from tests.grid.stage import Stage
from tests.made import snapshot
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

POINTS: Final = {"threads": names(threads_points.POINTS), "notifier": list(notifier_points.NAMES)}
POSTS: Final = 3
LIMIT_S: Final = 40.0
_number = count(1)


@dataclass(frozen=True)
class Cell:
    service: str
    point: str
    fault: str

    def __str__(self) -> str:
        return f"{self.service}, {self.point}, {self.fault}"


CELLS: Final = [
    Cell(service, point, fault) for service, points in POINTS.items() for point in points for fault in FAULTS
]

# For every change: each step once finished × each fault, every point × SIGKILL, and defects where they once did harm. `make grid` runs all.
HARMED: Final = ("before delivered", "before leased", "after 250 received")
FAST: Final = [
    cell
    for cell in CELLS
    if cell.fault == "kill -9" or (cell.point in HARMED if cell.fault == DEFECT else cell.point.startswith("after "))
]


async def happen(cell: Cell, stage: Stage) -> Outcome:
    """Runs one cell in the running Parley; what it came to. A process that the fault ended starts again at once, beside the other."""
    began, outcome = time.monotonic(), Outcome()
    await stage.all_run()
    order_id = f"g-{next(_number)}"
    await _order(stage, order_id)
    orders = stage.orders[cell.service]
    orders.give(cell.point, cell.fault)
    try:
        posting = asyncio.gather(*(_post(stage, order_id, number) for number in range(POSTS)))
        victim = await _victim(cell, stage)
        if cell.fault == "SIGSTOP":
            await _overtaken(cell, stage, order_id, victim)
        elif cell.fault in SIGNALS:
            await eventually(lambda: not victim.is_running, timeout_s=LIMIT_S, what=f"the end of {victim.label}")
            victim.start()
        posts = await posting
    finally:
        orders.withdraw()
    if cell.fault == DEFECT:
        outcome.repaired = await _repaired(cell, stage, order_id)
    await check(stage, order_id, posts, outcome)
    outcome.took_s = time.monotonic() - began
    return outcome


async def _order(stage: Stage, order_id: str) -> None:
    await stage.clients.put_order(
        snapshot(
            order_id,
            customer=Customer(id="c-7", name="Ada", email=f"customer_{order_id}@example.com"),
            seller=Seller(id="s-1", name="Fine Things", email=f"seller_{order_id}@example.com"),
        )
    )


async def _post(stage: Stage, order_id: str, number: int) -> Posted:
    """Posts under one key until the answer is definite."""
    author = stage.clients.seller() if number == 1 else stage.clients.customer()
    text, ids = f"{order_id} number {number}", []

    async def accepted() -> bool:
        answer = await author.post(text, order_id=order_id, Idempotency_Key=f"{order_id}-{number}")
        if answer.status in (201, 202):
            ids.append(str(answer.body["id" if answer.status == 201 else "command_id"]))
        return bool(ids)

    await eventually(accepted, timeout_s=LIMIT_S, what=f"an answer to {text}")
    return Posted(author, text, ids[0])


async def _victim(cell: Cell, stage: Stage) -> ServiceProcess:
    orders = stage.orders[cell.service]
    pid = await eventually(lambda: orders.taken_by, timeout_s=LIMIT_S, what=f"anybody being at the point {cell.point}")
    return next(process for process in stage.pair(cell.service) if process.pid == pid)


async def _overtaken(cell: Cell, stage: Stage, order_id: str, victim: ServiceProcess) -> None:
    """The frozen process loses its connections, as a broker ends silent ones; the other one does everything; then it wakes."""
    await eventually(lambda: stands_still(victim.pid), what="the process standing still")
    await asyncio.to_thread(disconnect, stage.parley.vhost.server, victim.pid)
    is_done = is_finished if cell.service == "threads" else mails_rest
    try:
        await eventually(
            lambda: is_done(stage, order_id, POSTS), timeout_s=LIMIT_S, what="the other having done it all"
        )
    finally:
        victim.resume()
    await victim.ready()


async def _repaired(cell: Cell, stage: Stage, order_id: str) -> int:
    """What a defect has parked is replayed, as an operator does once it is mended; how much that was."""
    if cell.service == "notifier":
        await eventually(lambda: mails_rest(stage, order_id, POSTS), timeout_s=LIMIT_S, what="the other mails")
        return await retry_failed_mails(stage, order_id)
    async with dead.opened(stage.parley.vhost.url("operator")) as letters:
        return await letters.replay("all")
