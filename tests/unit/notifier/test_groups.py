"""What many ask at once is done in groups, and nobody gets another's answer or error."""

import asyncio
from collections.abc import Sequence

import pytest

from services.notifier.groups import Groups
from tests.servers.pace import others_turn


class Work:
    """Doubles numbers, a group at a time, when it is let; refuses negative ones."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        await self.may_go_on.wait()
        if min(numbers) < 0:
            raise ValueError("negative")
        return [2 * number for number in numbers]


async def test_what_is_asked_side_by_side_is_one_group() -> None:
    work = Work()
    groups = Groups(work, at_most=10)

    answers = await asyncio.gather(*(groups.ask(number) for number in range(5)))

    assert answers == [0, 2, 4, 6, 8]
    assert work.groups == [[0, 1, 2, 3, 4]]


async def test_what_is_asked_while_a_group_is_under_way_is_the_next_one() -> None:
    work = Work()
    groups = Groups(work, at_most=10)
    work.may_go_on.clear()
    first = asyncio.create_task(groups.ask(1))
    await others_turn()
    await others_turn()
    later = [asyncio.create_task(groups.ask(number)) for number in (2, 3)]
    await others_turn()

    work.may_go_on.set()

    assert list(await asyncio.gather(first, *later)) == [2, 4, 6]
    assert work.groups == [[1], [2, 3]]


async def test_behind_a_group_the_next_one_may_gather_for_a_while() -> None:
    work = Work()
    groups = Groups(work, at_most=10, gather_s=0.2)
    await groups.ask(1)
    second = asyncio.create_task(groups.ask(2))
    await others_turn()
    await others_turn()

    assert list(await asyncio.gather(second, groups.ask(3))) == [4, 6]
    assert work.groups == [[1], [2, 3]]


async def test_a_group_is_no_larger_than_it_may_be() -> None:
    work = Work()
    groups = Groups(work, at_most=2)

    await asyncio.gather(*(groups.ask(number) for number in range(5)))

    assert work.groups == [[0, 1], [2, 3], [4]]


async def test_an_error_is_everybodys_in_the_group_and_nobody_elses() -> None:
    work = Work()
    groups = Groups(work, at_most=2)

    answers = await asyncio.gather(*(groups.ask(number) for number in (1, -1, 3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [ValueError, ValueError, int]


async def test_whoever_is_cancelled_before_the_group_begins_is_left_out() -> None:
    work = Work()
    groups = Groups(work, at_most=10)
    work.may_go_on.clear()
    first, second, third = (asyncio.create_task(groups.ask(number)) for number in (1, 2, 3))
    await others_turn()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second

    work.may_go_on.set()

    assert list(await asyncio.gather(first, third)) == [2, 6]
    assert 2 not in work.groups[-1] or work.groups == [[1, 2, 3]]
