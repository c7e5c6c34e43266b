"""Time that passes on purpose: how long a fault lasts, and how fast a load goes. Whoever waits for a condition uses waiting.py."""

import asyncio
import itertools
from collections.abc import AsyncIterator


async def lasting(seconds: float) -> None:
    """Returns when a fault has lasted, or a load has paused, as long as it is to."""
    await asyncio.sleep(seconds)


async def every(seconds: float) -> AsyncIterator[int]:
    """0, 1, 2, … for ever, the first at once, and this pause before each of the others."""
    for turn in itertools.count():
        if turn:
            await lasting(seconds)
        yield turn


async def others_turn() -> None:
    """Lets everything else that is ready in this event loop go on once."""
    await asyncio.sleep(0)
