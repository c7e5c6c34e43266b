"""`make grid`: every named point × every fault, as a table (ONLY="inserted" for the cells with that in their name). Exit status 1 if one is not green."""

import asyncio
import os
import platform
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from shared import logs
from tests.faults.points import FAULTS
from tests.grid.cells import CELLS, POINTS, Cell, happen
from tests.grid.checks import Outcome, check_everything, what_is_left
from tests.grid.stage import Stage, stage
from tests.servers.providers import shared_mongo, shared_rabbit

WIDTH: Final = 12


async def grid(cells: list[Cell]) -> bool:
    """Runs the cells one after another; whether all are green."""
    began, outcomes = time.monotonic(), dict[Cell, Outcome]()
    with tempfile.TemporaryDirectory(prefix="grid-") as scratch:
        directory = Path(scratch)
        with shared_rabbit(directory) as rabbit, shared_mongo(directory) as mongo:
            async with stage(rabbit, mongo, directory) as on:
                for cell in cells:
                    outcomes[cell] = await _one(cell, on)
                at_last = await check_everything(on)
    _tell(outcomes, at_last, time.monotonic() - began)
    return not at_last and not any(outcome.wrong for outcome in outcomes.values())


async def _one(cell: Cell, on: Stage) -> Outcome:
    try:
        outcome = await happen(cell, on)
    except Exception as error:
        outcome = Outcome(wrong=[f"{type(error).__name__}: {error}"])
    for each in outcome.wrong:
        print(f"  {cell}: {each}", file=sys.stderr, flush=True)
    if outcome.wrong:
        print("".join(f"    {each}\n" for each in await what_is_left(on)), file=sys.stderr, end="", flush=True)
    return outcome


def _tell(outcomes: dict[Cell, Outcome], at_last: list[str], took_s: float) -> None:
    by_point: dict[tuple[str, str], dict[str, Outcome]] = defaultdict(dict)
    for cell, outcome in outcomes.items():
        by_point[cell.service, cell.point][cell.fault] = outcome
    print(f"{'':32}" + "".join(f"{fault:{WIDTH}}" for fault in FAULTS))
    for service, points in POINTS.items():
        for point in points:
            if found := by_point.get((service, point)):
                print(f"{service:10}{point:22}" + "".join(f"{_said(found.get(fault)):{WIDTH}}" for fault in FAULTS))
    for each in at_last:
        print(f"  at last: {each}")
    every = outcomes.values()
    print(
        f"grid: {len(outcomes)} cells, {sum(not each.wrong for each in every)} green, "
        f"{sum(bool(each.wrong) for each in every)} not, {sum(each.mails for each in every)} mails, of which "
        f"{sum(each.second_mails for each in every)} came twice ({sum(each.ambiguous for each in every)} ambiguous), "
        f"{sum(each.repaired for each in every)} repaired by an operator after a defect, in {took_s:.0f} s"
    )


def _said(outcome: Outcome | None) -> str:
    return "" if outcome is None else "WRONG" if outcome.wrong else "green"


def main() -> None:
    only = os.environ.get("ONLY") or ""
    cells = [cell for cell in CELLS if only in str(cell)]
    logs.configure(service="grid", log_format="text", level="error")
    print(f"grid: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}")
    sys.exit(0 if asyncio.run(grid(cells)) else 1)


if __name__ == "__main__":
    main()
