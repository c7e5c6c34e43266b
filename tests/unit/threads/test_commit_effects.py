"""Commands that make no entry: applied beside the others, in turn between persons, a step at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from pymongo.errors import AutoReconnect

from services.threads.beside import MOST_OF_ONE, Beside, Effect
from services.threads.fair_queue import FairQueue
from services.threads.in_hand import InHand
from services.threads.metrics import Metrics
from services.threads.work import Work
from shared.callers import Caller
from tests.made import CUSTOMER, OTHER_CUSTOMER, SELLER, mark_read
from tests.servers.pace import others_turn


@dataclass(eq=False)
class Channel:
    """What is acknowledged, in that order."""

    acknowledged: list[int] = field(default_factory=list)
    is_open: bool = True

    async def acknowledge(self, tags: list[int]) -> None:
        self.acknowledged += tags

    async def close(self) -> None:
        self.is_open = False


@dataclass(eq=False)
class Delivery:
    message: Any
    subscription: Any
    tag: int
    is_fresh: bool = True


class Applies:
    """Applies an effect when the test lets it, in as many steps as it says."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.put_off_ids: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.steps: dict[str, int] = {}
        self.errors: dict[str, list[Exception]] = {}

    async def apply(self, effect: Effect) -> bool:
        name = str(effect.work.message)
        self.begun.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        if self.errors.get(name):
            raise self.errors[name].pop(0)
        self.steps[name] = self.steps.get(name, 1) - 1
        return self.steps[name] <= 0

    async def put_off(self, works: Any) -> None:
        self.put_off_ids += [str(work.message) for work in works]


@dataclass
class Bench:
    applies: Applies
    beside: Beside
    channel: Channel
    parked: list[str]

    async def take(self, *named: tuple[str, Caller], alone: bool = False) -> InHand:
        works = [Work(name, mark_read(1, by=who), "digest") for name, who in named]  # type: ignore[arg-type]  # a name is message enough
        deliveries: Any = [Delivery(work.message, self.channel, tag) for tag, work in enumerate(works, 1)]
        hand = InHand(deliveries, works)
        effects = [Effect(work) for work in works]
        await (self.beside.apply_at_once(effects, hand) if alone else self.beside.take(effects, hand))
        return hand

    async def until(self, look: Callable[[], object]) -> None:
        for _ in range(1_000):
            if look():
                return
            await others_turn()
        raise AssertionError(
            f"it did not come true: begun {self.applies.begun}, acknowledged {self.channel.acknowledged}"
        )


def bench(*, most: int = 128) -> Bench:
    applies = Applies()
    parked: list[str] = []

    async def park(defects: Any) -> None:
        parked.extend(str(work.message) for work, _ in defects)

    async def survived(_: InHand) -> None:
        return

    metrics = Metrics(CollectorRegistry())
    return Bench(
        applies, Beside(committer=applies, park=park, survived=survived, metrics=metrics, most=most), Channel(), parked
    )


async def test_each_is_acknowledged_when_it_is_done_and_waits_for_no_other_person() -> None:
    it = bench()
    it.applies.gates["slow"] = asyncio.Event()
    group = await it.take(("slow", CUSTOMER), ("quick", SELLER))
    await it.until(lambda: it.channel.acknowledged == [2])
    assert list(group.deliveries) == []
    it.applies.gates["slow"].set()
    await it.until(lambda: it.channel.acknowledged == [2, 1])


async def test_a_persons_own_are_applied_one_after_the_other_in_their_order() -> None:
    it = bench()
    it.applies.gates["a1"] = asyncio.Event()
    await it.take(("a1", CUSTOMER), ("a2", CUSTOMER), ("b1", SELLER), ("a3", CUSTOMER))
    await it.until(lambda: it.channel.acknowledged == [3])
    assert it.applies.begun == ["a1", "b1"]
    it.applies.gates["a1"].set()
    await it.until(lambda: len(it.channel.acknowledged) == 4)
    assert it.applies.begun == ["a1", "b1", "a2", "a3"]


async def test_one_that_takes_many_steps_lets_everything_else_go_first_after_each() -> None:
    it = bench()
    it.applies.steps["all"] = 3
    await it.take(("all", SELLER), ("own", SELLER), ("others", CUSTOMER))
    await it.until(lambda: len(it.channel.acknowledged) == 3)
    assert it.applies.begun.index("own") < it.applies.begun.index("all", 1)
    assert it.applies.begun.count("all") == 3
    assert it.channel.acknowledged[-1] == 1


async def test_what_one_person_has_too_much_of_goes_round_and_takes_no_places() -> None:
    it = bench()
    it.applies.gates["0"] = asyncio.Event()
    noise = [(f"{number}", CUSTOMER) for number in range(100)]
    group = await it.take(*noise, ("innocent", OTHER_CUSTOMER))
    await it.until(lambda: it.channel.acknowledged == [101])
    assert len(it.applies.put_off_ids) == 100 - MOST_OF_ONE
    assert len(group.deliveries) == 100 - MOST_OF_ONE
    it.applies.gates["0"].set()
    await it.until(lambda: len(it.channel.acknowledged) == 1 + MOST_OF_ONE)


async def test_one_that_meets_a_defect_is_parked_alone_and_one_whose_database_is_away_is_held() -> None:
    it = bench()
    it.applies.errors["bad"] = [RuntimeError("a defect")]
    it.applies.errors["held"] = [AutoReconnect("away")]
    await it.take(("bad", CUSTOMER), ("held", SELLER), ("good", OTHER_CUSTOMER))
    await it.until(lambda: it.channel.acknowledged == [1, 3])
    assert it.parked == ["bad"]
    await it.beside.drain()
    assert it.channel.acknowledged == [1, 3, 2]
    assert it.applies.begun.count("held") == 2


async def test_alone_means_that_nothing_else_is_applied_meanwhile() -> None:
    it = bench()
    it.applies.steps["all"] = 2
    async with it.beside.alone():
        await it.take(("waits", CUSTOMER))
        await it.take(("all", SELLER), ("suspect", SELLER), alone=True)
        assert it.applies.begun == ["all", "suspect"]
    await it.until(lambda: len(it.channel.acknowledged) == 3)
    assert sorted(it.applies.begun) == ["all", "all", "suspect", "waits"]


async def test_stopping_ends_what_is_short_and_leaves_a_long_one_where_it_stands() -> None:
    it = bench()
    it.applies.steps["all"] = 1_000_000
    await it.take(("all", SELLER), ("short", CUSTOMER))
    await it.beside.drain()
    assert it.channel.acknowledged == [2]
    assert it.applies.begun.count("all") < 10


async def test_deliveries_of_a_lost_channel_are_not_applied() -> None:
    it = bench()
    it.applies.gates["first"] = asyncio.Event()
    await it.take(("first", CUSTOMER), ("second", CUSTOMER))
    await it.until(lambda: it.applies.begun)
    it.channel.is_open = False
    it.applies.gates["first"].set()
    await it.beside.drain()
    assert it.applies.begun == ["first"]


async def test_a_queue_has_so_many_hands_and_keys_take_turns() -> None:
    order: list[str] = []
    free = asyncio.Event()

    async def step(item: str) -> bool:
        order.append(item)
        await free.wait()
        return True

    queue: FairQueue[str] = FairQueue(step, at_once=2, most=5, most_of_one=3)
    for key, item in (("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1")):
        assert queue.takes(key)
        queue.put(key, item)
    assert (queue.takes("a"), queue.takes("c")) == (False, True)
    await others_turn()
    assert order == ["a1", "b1"]
    free.set()
    await queue.drain()
    assert (order, len(queue)) == (["a1", "b1", "a2", "a3"], 0)
