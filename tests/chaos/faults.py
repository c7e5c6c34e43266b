"""The faults, all from outside: signals to the services, the broker and the database, and an SMTP server that misbehaves."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

from tests.servers.parley import Parley
from tests.servers.services import ServiceProcess
from tests.servers.smtp import AFTER_DOT, BEFORE_DOT

Fault = Callable[[], Awaitable[None]]

PAUSE_S: Final = (1.0, 4.0)
ZOMBIE_PAUSE_S: Final = 35.0
BLOCK_S: Final = 3.0


class Faults:
    """One fault at a time, drawn by the seed; after each, whatever it stopped is brought back."""

    def __init__(self, parley: Parley, *, chance: random.Random, chosen: set[str] | None, zombies: bool) -> None:
        self._parley, self._chance = parley, chance
        self.done: Counter[str] = Counter()
        every: dict[str, tuple[int, Fault]] = {
            "kill": (8, self._kill),
            "terminate": (3, self._terminate),
            "freeze": (3, self._freeze),
            "rabbitmq-kill": (1, self._kill_rabbitmq),
            "rabbitmq-close-connections": (2, self._close_connections),
            "rabbitmq-memory-alarm": (1, self._block_rabbitmq),
            "mongodb-kill": (1, self._kill_mongodb),
            "mongodb-freeze": (1, self._freeze_mongodb),
            "smtp-421": (1, self._smtp("421 4.3.2 shutting down")),
            "smtp-451": (1, self._smtp("451 4.3.0 try again later")),
            "smtp-drop-before-dot": (1, self._smtp_drop(BEFORE_DOT)),
            "smtp-drop-after-dot": (2, self._smtp_drop(AFTER_DOT)),
        }
        if zombies:
            every["zombie"] = (1, self._zombie)
        self._every = {name: fault for name, fault in every.items() if chosen is None or name in chosen}

    @property
    def kills(self) -> int:
        return self.done["kill"]

    @property
    def others(self) -> int:
        return sum(self.done.values()) - self.kills

    async def run(self, over: asyncio.Event, *, every_s: float) -> None:
        """Every kind at least once, in random order, then at random by weight, until it is over."""
        first = list(self._every)
        self._chance.shuffle(first)
        while not over.is_set():
            name = first.pop() if first else self._drawn()
            await self._every[name][1]()
            self.done[name] += 1
            await asyncio.sleep(self._chance.expovariate(1 / every_s))

    def _drawn(self) -> str:
        names = list(self._every)
        return self._chance.choices(names, weights=[self._every[name][0] for name in names])[0]

    def _service(self) -> ServiceProcess:
        return self._chance.choice(list(self._parley.services.values()))

    async def _kill(self) -> None:
        service = self._service()
        service.kill()
        service.start()

    async def _terminate(self) -> None:
        service = self._service()
        await asyncio.to_thread(service.term)
        service.start()

    async def _freeze(self) -> None:
        await self._frozen(self._service(), self._chance.uniform(*PAUSE_S))

    async def _zombie(self) -> None:
        """Longer than heartbeats and leases: others have taken over when it wakes."""
        await self._frozen(self._service(), ZOMBIE_PAUSE_S)

    async def _frozen(self, server: Any, pause_s: float) -> None:
        server.pause()
        await asyncio.sleep(pause_s)
        server.resume()

    async def _kill_rabbitmq(self) -> None:
        broker = self._parley.vhost.server
        broker.kill()
        await asyncio.to_thread(broker.start)

    async def _close_connections(self) -> None:
        await asyncio.to_thread(self._parley.vhost.server.close_connections, self._parley.vhost.name)

    async def _block_rabbitmq(self) -> None:
        broker = self._parley.vhost.server
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "0.00000001")
        await asyncio.sleep(BLOCK_S)
        await asyncio.to_thread(broker.ctl, "set_vm_memory_high_watermark", "absolute", "1GB")

    async def _kill_mongodb(self) -> None:
        self._parley.mongo.kill()
        await asyncio.to_thread(self._parley.mongo.start)

    async def _freeze_mongodb(self) -> None:
        await self._frozen(self._parley.mongo, self._chance.uniform(*PAUSE_S))

    def _smtp(self, answer: str) -> Fault:
        async def fault() -> None:
            self._parley.smtp.answer_data(answer, times=2)

        return fault

    def _smtp_drop(self, when: Any) -> Fault:
        async def fault() -> None:
            self._parley.smtp.drop_data(when)

        return fault
