"""Waits for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, overload

POLL_EVERY_S = 0.02
# What comes true costs no more for a long one, and a machine that does much else at once is slow.
TIMEOUT_S = 60.0

T = TypeVar("T")


@overload
async def eventually(
    look: Callable[[], Awaitable[T]], *, timeout_s: float = ..., what: str = ..., every_s: float = ...
) -> T: ...
@overload
async def eventually(look: Callable[[], T], *, timeout_s: float = ..., what: str = ..., every_s: float = ...) -> T: ...
async def eventually(
    look: Callable[[], object],
    *,
    timeout_s: float = TIMEOUT_S,
    what: str = "the condition",
    every_s: float = POLL_EVERY_S,
) -> object:
    """The first answer of `look` that is true (or not empty). It may be a coroutine function; AssertionError counts as no.

    Raises AssertionError, with the last answer, when there is none within the time. Looks every `every_s`, after the last look's end.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last: object
        try:
            answer = look()
            found = await answer if inspect.isawaitable(answer) else answer
            if found:
                return found
            last = found
        except AssertionError as failed:
            last = failed
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s:g} s; at last: {last!r}")
        await asyncio.sleep(every_s)


def eventually_now(look: Callable[[], T], *, timeout_s: float = TIMEOUT_S, what: str = "the condition") -> T:
    """`eventually` for code without an event loop."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_s:g} s; at last: {found!r}")
        time.sleep(POLL_EVERY_S)
    return found


@contextmanager
def within(promised_s: float) -> Iterator[None]:
    """What is done in it takes no longer than promised, and as long again where two test runs share a slow machine.

    For promises whose breach takes far longer than that: a caller's patience, or a library's own time limit.
    """
    began = time.monotonic()
    yield
    took_s = time.monotonic() - began
    assert took_s < 2 * promised_s, f"promised within {promised_s:g} s, and took {took_s:.1f} s"
