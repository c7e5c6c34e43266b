"""Whose cancellation it is, what a lost connection raises, and background tasks that end."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared import losses
from shared.losses import NO_CONNECTION, end, in_background, loss_is_an_error
from tests.servers.pace import others_turn
from tests.servers.waiting import eventually


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines


@pytest.mark.parametrize(
    "raised", [asyncio.CancelledError(), Exception(), ConnectionResetError(), StopAsyncIteration()]
)
async def test_whatever_the_library_raises_for_a_loss_is_no_connection(raised: BaseException) -> None:
    with pytest.raises(NO_CONNECTION), loss_is_an_error():
        raise raised


async def test_a_defect_stays_what_it_is() -> None:
    with pytest.raises(KeyError), loss_is_an_error():
        raise KeyError("a defect")


async def test_a_time_limit_of_ones_own_is_not_a_loss() -> None:
    async def waits() -> None:
        async with asyncio.timeout(0):
            with loss_is_an_error():
                await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await waits()


@pytest.mark.parametrize("instead", [asyncio.CancelledError, ConnectionResetError, Exception])
async def test_a_tasks_own_cancellation_is_never_taken_for_a_loss(instead: type[BaseException]) -> None:
    began = asyncio.Event()

    async def work() -> None:
        with loss_is_an_error():
            try:
                began.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise instead from None

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def _defect() -> None:
    raise KeyError("a defect")


async def _cancelled_by_nobody() -> None:
    raise asyncio.CancelledError


async def _ends() -> None:
    """As it should."""


@pytest.mark.parametrize(("work", "said"), [(_defect, True), (_cancelled_by_nobody, True), (_ends, False)])
async def test_a_background_task_that_ends_by_a_defect_is_logged(
    work: Callable[[], Coroutine[Any, Any, None]], said: bool, logged: list[Any]
) -> None:
    await asyncio.wait([in_background(work(), name="the task")])
    ended = asyncio.Event()
    asyncio.get_running_loop().call_soon(ended.set)
    await ended.wait()
    lines = [(line["event"], line["log_level"], line["task"]) for line in logged]
    assert lines == ([("background_task_ended", "error", "the task")] if said else [])


async def test_a_background_task_that_is_cancelled_ends_silently(logged: list[Any]) -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    task = in_background(waits(), name="the task")
    task.cancel()
    await eventually(task.done, what="the end")
    assert not logged


async def test_a_task_that_swallows_its_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CANCEL_AGAIN_S", 0.01)

    waits = asyncio.Event()

    async def works_in_a_loop() -> None:
        waits.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    deaf = asyncio.create_task(works_in_a_loop())
    await waits.wait()
    (outcome,) = await asyncio.wait_for(end(deaf), 5)
    assert isinstance(outcome, asyncio.CancelledError)


async def test_whoever_ends_a_task_and_is_ended_itself_leaves_nothing_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "CANCEL_AGAIN_S", 0.01)
    cancelled = 0

    async def hears_the_third_time() -> None:
        nonlocal cancelled
        while cancelled < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    deaf = asyncio.create_task(hears_the_third_time())
    await others_turn()
    ending = asyncio.create_task(end(deaf))
    await others_turn()
    await end(ending)
    assert ending.cancelled()
    assert deaf.done()


async def test_what_tasks_came_to_before_they_were_ended_is_told() -> None:
    done, failed = asyncio.create_task(_ends()), asyncio.create_task(_defect())
    await asyncio.wait([done, failed])
    result, error = await end(done, failed)
    assert result is None
    assert isinstance(error, KeyError)
