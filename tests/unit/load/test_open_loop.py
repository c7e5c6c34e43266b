"""The load tool's schedule does not depend on the answers, and its search is bounded."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import aiohttp
import pytest

from bench.load.figures import KINDS
from bench.load.generator import Generator
from bench.load.requests import Refused, Requests
from bench.load.schedule import SHARES, arrivals
from bench.load.search import MAX_RATE, highest

CHANCE = partial(random.Random, 1)


class Stalled:
    """Requests that are answered when the test says so."""

    def __init__(self, answer: Callable[[], Awaitable[None]]) -> None:
        self.events = 0
        self.by_kind = dict.fromkeys(KINDS, answer)


def generator(answer: Callable[[], Awaitable[None]]) -> Generator:
    http = cast(aiohttp.ClientSession, None)
    return Generator(http, cast(Requests, Stalled(answer)), {}, chance=CHANCE())


def test_requests_are_due_at_a_constant_rate() -> None:
    moments = [due_s for due_s, _ in arrivals(200, 3, chance=CHANCE())]

    assert len(moments) == 600
    assert moments[:3] == [0.0, 0.005, 0.01]
    assert moments[-1] == pytest.approx(2.995)


def test_the_mix_is_60_percent_reads_25_posts_10_marks_5_live() -> None:
    kinds = Counter(kind for _, kind in arrivals(100, 100, chance=CHANCE()))

    assert SHARES["list"] + SHARES["conversation"] == 60
    for kind, share in SHARES.items():
        assert kinds[kind] / 100 == pytest.approx(share, abs=1.5)


async def test_a_stall_holds_up_no_later_request_and_shows_in_the_latencies() -> None:
    under_way, stalled = 0, asyncio.Event()

    async def answer() -> None:
        nonlocal under_way
        under_way += 1
        if under_way == 40:
            stalled.set()
        await stalled.wait()

    run = await generator(answer).run(rate=400, duration_s=0.1)

    last_due_s = max(sample.due_s for sample in run.samples)
    assert len(run.samples) == 40
    assert all(sample.took_ms >= 1_000 * (last_due_s - sample.due_s) for sample in run.samples)


async def test_a_refusal_is_an_error_and_not_the_end_of_the_run() -> None:
    async def answer() -> None:
        raise Refused("status 503")

    run = await generator(answer).run(rate=1_000, duration_s=0.01)

    assert [sample.error for sample in run.samples] == ["status 503"] * 10


@pytest.mark.parametrize("limit", [60, 130, 777, 5_000])
async def test_the_highest_rate_is_found_within_an_eighth_of_its_power_of_two(limit: float) -> None:
    asked: list[float] = []

    async def bears(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    found = await highest(bears)

    assert found.too_much is not None
    assert found.borne <= limit < found.too_much
    assert found.too_much - found.borne <= limit / 8
    assert len(asked) <= 11


async def test_where_nothing_is_borne_the_search_ends_at_once() -> None:
    async def bears(_: float) -> bool:
        return False

    assert (await highest(bears)).borne == 0


async def test_where_everything_is_borne_the_search_ends_at_its_bound() -> None:
    async def bears(_: float) -> bool:
        return True

    found = await highest(bears)

    assert (found.borne, found.too_much) == (MAX_RATE, None)
