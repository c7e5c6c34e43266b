"""Who may read the stream again, and when: one person's connections take turns, so that they never hold everybody's places."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Person:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    connections: int = 0


class Turns:
    """So many persons at once, and of each person one connection at a time, in the order in which they came."""

    def __init__(self, persons_at_once: int) -> None:
        self._places = asyncio.Semaphore(persons_at_once)
        self._persons: dict[str, _Person] = {}

    @contextlib.asynccontextmanager
    async def turn_of(self, person: str) -> AsyncIterator[None]:
        """Waits for the person's own turn first, and only then for a place, so whoever waits for themselves takes none."""
        own = self._persons.setdefault(person, _Person())
        own.connections += 1
        try:
            async with own.turn, self._places:
                yield
        finally:
            own.connections -= 1
            if not own.connections:
                del self._persons[person]
