"""Runs the planned faults: several lanes side by side, each one fault after the other."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from tests.chaos.plan import Kind, Step, mean_gap_s, steps

Fault = Callable[[Step], Awaitable[None]]


class NotPossible(Exception):
    """This fault cannot be made here, or not now."""


@dataclass(frozen=True)
class Lane:
    """Faults that must not overlap, because each would hide the other. `mean_gap_s` None: as the length of the run asks."""

    name: str
    faults: Mapping[str, tuple[Kind, Fault]]
    mean_gap_s: float | None = None


class Faults:
    """What was done so far, by kind. `left_out` says why a kind has no turn on this machine."""

    def __init__(self, lanes: list[Lane], *, seed: int, chosen: set[str] | None) -> None:
        self._seed = seed
        self._lanes = [_chosen(lane, chosen) for lane in lanes]
        self.done: Counter[str] = Counter()
        self.left_out: dict[str, str] = {}
        self.every_kind_done = asyncio.Event()

    @property
    def kinds(self) -> list[str]:
        return [name for lane in self._lanes for name in lane.faults]

    @property
    def kills(self) -> int:
        return self.done["kill"]

    @property
    def others(self) -> int:
        return sum(self.done.values()) - self.kills

    @property
    def never_done(self) -> list[str]:
        return [name for name in self.kinds if not self.done[name] and name not in self.left_out]

    async def run(self, over: asyncio.Event, *, duration_s: float) -> None:
        """Until it is over; what has begun then is ended in order."""
        lanes = [self._run(lane, over, duration_s) for lane in self._lanes if lane.faults]
        await asyncio.gather(*lanes)

    async def _run(self, lane: Lane, over: asyncio.Event, duration_s: float) -> None:
        kinds = {name: kind for name, (kind, _) in lane.faults.items()}
        gap_s = lane.mean_gap_s or mean_gap_s(kinds, duration_s=duration_s)
        for step in steps(lane.name, kinds, seed=self._seed, mean_gap_s=gap_s):
            if await ended_within(over, step.gap_s):
                return
            if step.kind not in self.left_out:
                await self._do(lane.faults[step.kind][1], step)
            if not self.never_done:
                self.every_kind_done.set()

    async def _do(self, fault: Fault, step: Step) -> None:
        try:
            await fault(step)
            self.done[step.kind] += 1
        except NotPossible as error:
            self.left_out[step.kind] = str(error)
        except (PyMongoError, AssertionError, OSError) as error:
            # The server that was to be told is just not there: another lane's fault, or this one's own last one.
            print(
                f"    {step.kind} did not work: {type(error).__name__} {str(error)[:200]}", file=sys.stderr, flush=True
            )


def _chosen(lane: Lane, chosen: set[str] | None) -> Lane:
    faults = {name: fault for name, fault in lane.faults.items() if chosen is None or name in chosen}
    return Lane(lane.name, faults, lane.mean_gap_s)


async def ended_within(over: asyncio.Event, limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await over.wait()
    except TimeoutError:
        return False
    return True
