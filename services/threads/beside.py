"""Commands that make no entry, applied beside the finishing of posts: in turn between persons, each acknowledged by itself."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import structlog

from services.threads.fair_queue import FairQueue
from services.threads.in_hand import InHand
from services.threads.metrics import Metrics
from services.threads.work import QUEUE, Work
from shared.commands import CommandOutcome
from shared.losses import loss_is_an_error
from shared.mongo import is_away

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
# Of one person; what is more goes round through a retry tier, and leaves its places to others.
MOST_OF_ONE: Final = 32
# Where all places are taken, by however many persons, a group waits so long for one: going round costs more than waiting.
ROOM_WAIT_S: Final = 0.1
HOLD_PAUSE_S: Final = 0.2
HOLD_PAUSE_MAX_S: Final = 1.0

Park = Callable[[Sequence[tuple[Work, str]]], Awaitable[None]]
Survived = Callable[[InHand], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Effect:
    """A command that makes no entry. `first` is what an earlier delivery of it was answered.

    `is_copy`: another one of the same id was in hand when this one came, so what became of that is to be looked up first.
    """

    work: Work
    first: CommandOutcome | None = None
    is_copy: bool = False


class Applies(Protocol):
    """The part of the committer that is needed here."""

    async def apply(self, effect: Effect) -> bool:
        """Whether all of it is done."""

    async def put_off(self, works: Sequence[Work]) -> None:
        """Sends them round through a retry tier."""


@dataclass(eq=False, slots=True)
class _Taken:
    """An effect and its delivery, of which no other command is acknowledged."""

    effect: Effect
    hand: InHand
    is_begun: bool = False


class Beside:
    """`most` is how many are in hand at a time; what is over is put off. `survived` is told of each that is done, or has made a step."""

    def __init__(self, *, committer: Applies, park: Park, survived: Survived, metrics: Metrics, most: int) -> None:
        self._committer, self._park, self._survived, self._metrics = committer, park, survived, metrics
        self._queue: FairQueue[_Taken] = FairQueue(
            self._step, at_once=AT_ONCE, most=most, most_of_one=min(MOST_OF_ONE, most)
        )
        self._ids: dict[str, int] = {}

    async def take(self, effects: Sequence[Effect], group: InHand) -> None:
        """Takes these out of the group's hands: each is acknowledged when it is done. What there is no room for is acknowledged with the group."""
        over: list[Work] = []
        room_until = asyncio.get_running_loop().time() + ROOM_WAIT_S
        for effect in effects:
            work = effect.work
            await self._queue.room(until=room_until)
            if not self._queue.takes(work.caller_key):
                over.append(work)
                continue
            taken = self._taken(effect, group)
            self._queue.put(work.caller_key, taken)
        if over:
            log.info("commands_put_off", queue=QUEUE.name, count=len(over))
            self._metrics.put_off.inc(len(over))
            await self._committer.put_off(over)

    async def apply_at_once(self, effects: Sequence[Effect], group: InHand) -> None:
        """One after the other; of what takes several steps the first, and the others beside."""
        for effect in effects:
            taken = self._taken(effect, group)
            if not await self._step(taken):
                self._queue.put(effect.work.caller_key, taken)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Within, nothing else is applied."""
        async with self._queue.alone():
            yield

    async def drain(self) -> None:
        """As the queue's."""
        await self._queue.drain()

    async def close(self) -> None:
        """As the queue's."""
        await self._queue.close()

    def waiting_since(self) -> list[datetime]:
        """When those were accepted that nothing has been done of yet."""
        return [taken.effect.work.command.time for taken in self._queue.waiting() if not taken.is_begun]

    def _taken(self, effect: Effect, group: InHand) -> _Taken:
        command_id = effect.work.command.id
        is_copy = command_id in self._ids
        self._ids[command_id] = self._ids.get(command_id, 0) + 1
        return _Taken(Effect(effect.work, effect.first, is_copy), group.set_aside(effect.work))

    async def _step(self, taken: _Taken) -> bool:
        """Raises nothing but a defect of the acknowledging itself: then the delivery comes again."""
        taken.is_begun = True
        try:
            with loss_is_an_error():
                if taken.hand.subscription.is_open:
                    is_done = await self._applied(taken.effect)
                    if is_done:
                        await taken.hand.acknowledge()
                    await self._survived(taken.hand)
                    if not is_done:
                        return False
        except Exception:
            log.exception("effect_given_back", queue=QUEUE.name, command_id=taken.effect.work.command.id)
            await taken.hand.subscription.close()
        self._forget(taken.effect.work.command.id)
        return True

    async def _applied(self, effect: Effect) -> bool:
        """Whether all of it is done. Held while MongoDB is away, which costs no attempts; one that meets a defect is parked."""
        pause_s = HOLD_PAUSE_S
        while True:
            try:
                with self._metrics.stage_seconds.labels("effects").time():
                    return await self._committer.apply(effect)
            except Exception as error:
                if not is_away(error):
                    await self._park([(effect.work, traceback.format_exc())])
                    return True
                log.warning("held_while_away", queue=QUEUE.name, error=type(error).__name__, count=1)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, HOLD_PAUSE_MAX_S)

    def _forget(self, command_id: str) -> None:
        self._ids[command_id] -= 1
        if not self._ids[command_id]:
            del self._ids[command_id]
