"""Faults of the services' processes: killed, ended, frozen, woken as zombies, and with a clock that jumps."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Final

from tests.chaos.lanes import Lane, NotPossible
from tests.chaos.plan import Kind, Step
from tests.chaos.stack import Stack
from tests.servers.clock import Clock
from tests.servers.pace import lasting
from tests.servers.services import ServiceProcess

KILLS_EVERY_S: Final = 4.2
ZOMBIE_S: Final = 60.0
JUMPS_S: Final = (-3_600, -45, 45, 3_600)


class ServiceFaults:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._frozen: set[ServiceProcess] = set()

    def lanes(self, *, zombies: bool) -> list[Lane]:
        """Kills have a lane of their own, so that they go on whatever else is going on; so have zombies, which take a minute each."""
        others = {
            "terminate": (Kind(3), self.terminate),
            "freeze": (Kind(2), self.freeze),
            "clock-jump": (Kind(2, (3.0, 8.0)), self.jump),
        }
        lanes = [Lane("kills", {"kill": (Kind(), self.kill)}, KILLS_EVERY_S), Lane("services", others)]
        if zombies:
            zombie = Kind(lasts_s=(ZOMBIE_S, ZOMBIE_S + 5))
            lanes.append(Lane("zombies", {"zombie-60s": (zombie, self.freeze)}, 10.0))
        return lanes

    async def kill(self, step: Step) -> None:
        process = self._picked(step)
        pid = process.pid
        process.kill()
        Clock.tidy(pid)
        process.start()

    async def terminate(self, step: Step) -> None:
        process = self._picked(step)
        with self._to_itself(process):
            await asyncio.to_thread(process.term)
            process.start()

    async def freeze(self, step: Step) -> None:
        """With a minute of it, heartbeats and leases are over: others have taken over when it wakes."""
        process = self._picked(step)
        with self._to_itself(process):
            process.pause()
            await lasting(step.lasts_s)
            process.resume()

    async def jump(self, step: Step) -> None:
        clocks = list(self._stack.clocks.values())
        if not clocks:
            raise NotPossible("libfaketime is not installed")
        clock = clocks[step.of(clocks)]
        clock.jump(JUMPS_S[int(step.pick * 1_000) % len(JUMPS_S)])
        await lasting(step.lasts_s)
        clock.jump(0)

    def _picked(self, step: Step) -> ServiceProcess:
        """One that no other fault holds."""
        every = self._stack.processes
        start = step.of(every)
        turned = every[start:] + every[:start]
        return next(process for process in turned if process not in self._frozen)

    @contextlib.contextmanager
    def _to_itself(self, process: ServiceProcess) -> Iterator[None]:
        self._frozen.add(process)
        try:
            yield
        finally:
            self._frozen.discard(process)
