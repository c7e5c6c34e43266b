"""Many ask, one works: what is asked while one group is under way becomes the next group, so an idle notifier waits for nothing."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Groups(Generic[Item, Answer]):
    """One group at a time. `work` answers each item of a group, in their order; what it raises, everybody in the group gets.

    Behind a group, the next one may gather for `gather_s` more: what nobody waits for costs less in larger groups.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, at_most: int, gather_s: float = 0.0
    ) -> None:
        self._work, self._at_most, self._gather_s = work, at_most, gather_s
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def ask(self, item: Item) -> Answer:
        """Whoever is cancelled while waiting takes only its own item out of a group that has not begun; a group that has goes on."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="groups")
        return await answer

    async def _run(self) -> None:
        try:
            while group := self._next():
                await self._answer(group)
                if self._gather_s and len(self._waiting) < self._at_most:
                    await asyncio.sleep(self._gather_s)
        finally:
            self._running = None

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(group) < self._at_most:
            item, answer = self._waiting.popleft()
            if not answer.done():
                group.append((item, answer))
        return group

    async def _answer(self, group: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        try:
            answers = await self._work([item for item, _ in group])
        except BaseException as error:
            _fail([waiting for _, waiting in group], error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, waiting), answer in zip(group, answers, strict=True):
            if not waiting.done():
                waiting.set_result(answer)


def _fail(everybody: Sequence[asyncio.Future[Answer]], error: BaseException) -> None:
    for waiting in everybody:
        if waiting.done():
            continue
        if isinstance(error, asyncio.CancelledError):
            waiting.cancel()
        else:
            waiting.set_exception(error)
