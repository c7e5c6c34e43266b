"""A seed stands for one plan of faults, in which every kind has its turn."""

import asyncio
from itertools import islice

from tests.chaos.lanes import Faults, Lane
from tests.chaos.plan import Kind, Step, mean_gap_s, steps

KINDS = {f"kind-{number}": Kind(weight=1 + number % 3) for number in range(12)}


def plan(seed: int, lane: str = "a lane") -> list[Step]:
    return list(islice(steps(lane, KINDS, seed=seed, mean_gap_s=2.0), 100))


def test_the_same_seed_is_the_same_plan_and_another_seed_or_lane_another() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)
    assert plan(7) != plan(7, "another lane")


def test_every_kind_has_its_turn_before_any_has_a_second() -> None:
    first = [step.kind for step in plan(7)[: len(KINDS)]]

    assert sorted(first) == sorted(KINDS)


def test_a_pick_always_is_one_of_the_candidates() -> None:
    assert [Step("kind", 0, 0, pick).of(["a", "b", "c"]) for pick in (0.0, 0.34, 0.999, 1.0)] == [0, 1, 2, 2]


def test_a_longer_run_has_longer_pauses() -> None:
    assert mean_gap_s(KINDS, duration_s=600) > mean_gap_s(KINDS, duration_s=60)


async def test_lanes_go_on_beside_each_other_and_what_fails_once_is_not_counted() -> None:
    over, begun = asyncio.Event(), asyncio.Event()

    async def waits(_: Step) -> None:
        begun.set()
        await over.wait()

    async def fails(_: Step) -> None:
        await begun.wait()
        over.set()
        raise OSError("the server is not there")

    lanes = [Lane("one", {"waits": (Kind(), waits)}, 0.001), Lane("other", {"fails": (Kind(), fails)}, 0.001)]
    faults = Faults(lanes, seed=1, chosen=None)

    await faults.run(over, duration_s=1)

    assert dict(faults.done) == {"waits": 1}
    assert faults.never_done == ["fails"]
