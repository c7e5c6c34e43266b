"""What a lost connection to RabbitMQ looks like, and background tasks that must not end unnoticed because of one.

aiormq (7.2.4) rejects what waits on a dead connection with whatever ended it: an error of its own; a bare `Exception()` where the
connection was closed as soon as it was open; and CancelledError where the peer was silent for the heartbeat's time, which looks as
though somebody had cancelled the task that waits. The other way round, a task's own cancellation may be lost, so `end` repeats it.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any, Final

import aiormq
import structlog

log = structlog.get_logger(__name__)

# StopAsyncIteration is aiormq's for a peer that accepts and hangs up before its first frame, as a proxy does whose server is away.
NO_CONNECTION: Final = (
    aiormq.exceptions.AMQPError,
    aiormq.exceptions.ChannelInvalidStateError,
    OSError,
    StopAsyncIteration,
)
CANCEL_AGAIN_S: Final = 1.0


def is_cancelled() -> bool:
    """Whether somebody has cancelled the task that asks: only then is a CancelledError in it its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextlib.contextmanager
def loss_is_an_error() -> Iterator[None]:
    """Within, a connection's loss raises one of NO_CONNECTION, and CancelledError where this task was cancelled, and only there.

    An error that comes in the place of this task's own cancellation is that cancellation: nobody would repeat it.
    """
    try:
        yield
    except (Exception, asyncio.CancelledError) as error:
        if is_cancelled() and isinstance(error, Exception):
            raise asyncio.CancelledError from error
        if isinstance(error, asyncio.CancelledError) and not is_cancelled():
            raise ConnectionAbortedError("the peer is silent") from error
        if type(error) is Exception:
            raise ConnectionResetError("the connection was closed as soon as it was open") from error
        raise


def in_background(work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
    """The task that does the work. One that ends by an error, or cancelled by nobody, is a defect, and is logged as that at once."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_say_how_it_ended)
    return task


async def end(*tasks: asyncio.Task[Any]) -> list[object]:
    """Cancels the tasks, and returns when all have ended: their results, or the errors that ended them.

    Again every second, because a task need not notice: `wait_for` of Python 3.11, through which PyMongo writes to its sockets, swallows
    the cancellation that comes at the moment at which its work is done, and whoever works in a loop would go on for ever.
    """
    running, is_cut_short = {task for task in tasks if not task.done()}, False
    while running:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
        except asyncio.CancelledError:
            # Whoever wants to end us too waits as we do: nothing is left running behind him.
            is_cut_short = True
        running = {task for task in running if not task.done()}
    if is_cut_short:
        raise asyncio.CancelledError
    return list(await asyncio.gather(*tasks, return_exceptions=True))


def _say_how_it_ended(task: asyncio.Task[None]) -> None:
    if task.cancelling():
        return
    if task.cancelled():
        log.error("background_task_ended", task=task.get_name(), error="CancelledError")
    elif (error := task.exception()) is not None:
        log.error("background_task_ended", task=task.get_name(), exc_info=error)
