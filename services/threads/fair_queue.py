"""Work of many on few hands: keys in turn, one item of each at a time, and an item that is not done waits behind its key's others.

Knows nothing of what is done. One event loop.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from shared.losses import end, in_background

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """`step` does a part of an item and says whether all of it is done; what it raises is a defect of its own, and ends the item.

    At most `at_once` steps run side by side. It takes at most `most` items, and `most_of_one` of one key.
    """

    def __init__(self, step: Callable[[Item], Awaitable[bool]], *, at_once: int, most: int, most_of_one: int) -> None:
        self._step, self._at_once, self._most, self._most_of_one = step, at_once, most, most_of_one
        self._items: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()
        self._running: dict[asyncio.Task[None], tuple[str, Item]] = {}
        self._is_held, self._is_closing = 0, False
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._running) + sum(len(items) for items in self._items.values())

    def waiting(self) -> Iterator[Item]:
        """What no step has been begun of, and what waits for its next one."""
        for items in self._items.values():
            yield from items

    def takes(self, key: str) -> bool:
        """Whether there is room for one more of this key."""
        of_key = len(self._items.get(key, ())) + any(key == running for running, _ in self._running.values())
        return len(self) < self._most and of_key < self._most_of_one

    async def room(self, *, until: float) -> None:
        """Returns when it holds less than it may altogether, or at that moment of the loop's clock."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._until(lambda: len(self) < self._most)

    def put(self, key: str, item: Item) -> None:
        """Behind all others of its key."""
        self._append(key, item)
        self._begin()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Within, nothing is done: begins when what runs has ended its step."""
        self._is_held += 1
        try:
            await self._until(lambda: not self._running)
            yield
        finally:
            self._is_held -= 1
            self._begin()

    async def drain(self) -> None:
        """Returns when all is done but what takes several steps: that is left where it stands."""
        self._is_closing = True
        await self._until(lambda: not len(self))

    async def close(self) -> None:
        """Ends what runs."""
        self._is_closing, self._is_held = True, self._is_held + 1
        await end(*self._running)

    async def _until(self, look: Callable[[], bool]) -> None:
        while not look():
            self._changed.clear()
            await self._changed.wait()

    def _append(self, key: str, item: Item) -> None:
        items = self._items.setdefault(key, deque())
        items.append(item)
        if len(items) == 1 and not any(key == running for running, _ in self._running.values()):
            self._turns.append(key)

    def _begin(self) -> None:
        while self._turns and len(self._running) < self._at_once and not self._is_held:
            key = self._turns.popleft()
            item = self._items[key].popleft()
            task = in_background(self._run(key, item), name=f"a step for {type(item).__name__}")
            self._running[task] = (key, item)
            task.add_done_callback(self._ended)

    async def _run(self, key: str, item: Item) -> None:
        if not await self._step(item) and not self._is_closing:
            self._items.setdefault(key, deque()).append(item)

    def _ended(self, task: asyncio.Task[None]) -> None:
        key, _ = self._running.pop(task)
        if self._items.get(key):
            self._turns.append(key)
        else:
            self._items.pop(key, None)
        self._begin()
        self._changed.set()
