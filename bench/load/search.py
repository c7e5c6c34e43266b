"""Finds the highest rate that a stack bears: doubles until it does not, then halves the distance, in a bounded number of runs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

FIRST_RATE: Final = 50.0
MAX_RATE: Final = 6_400.0
REFINEMENTS: Final = 3

Bears = Callable[[float], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Found:
    """The highest rate that was borne, and the lowest that was not (None where every one was)."""

    borne: float
    too_much: float | None


async def highest(bears: Bears, *, first: float = FIRST_RATE, refinements: int = REFINEMENTS) -> Found:
    """`bears` makes a run at a rate a second. 0 where not even the first is borne."""
    borne, too_much = 0.0, None
    rate = first
    while rate <= MAX_RATE and too_much is None:
        if await bears(rate):
            borne, rate = rate, 2 * rate
        else:
            too_much = rate
    for _ in range(refinements if borne and too_much is not None else 0):
        assert too_much is not None
        middle = (borne + too_much) / 2
        if await bears(middle):
            borne = middle
        else:
            too_much = middle
    return Found(borne, too_much)
