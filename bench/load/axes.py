"""Values to pixels for the plot, pure: linear, logarithmic, and by percentile, each with its marks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

STEPS: Final = (1, 2, 5, 10)
# A latency below it lies on the floor: nothing of interest happens there.
FLOOR_MS: Final = 1.0

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the panel, at a value; one without a text is there for the eye alone."""

    value: float
    says: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    place: Scale
    marks: Sequence[Mark]


def across_time(duration_s: float, *, left: float, right: float) -> Axis:
    return Axis(_between(0, duration_s, left, right), _round_marks(duration_s, " s"))


def across_percentiles(percentiles: Sequence[float], *, left: float, right: float) -> Axis:
    """Each further nine takes the same room."""

    def nines(percent: float) -> float:
        return -math.log10(1 - percent / 100)

    whole = _between(nines(percentiles[0]), nines(percentiles[-1]), left, right)
    return Axis(lambda percent: whole(nines(percent)), [Mark(each, f"{each:g} %") for each in percentiles])


def up_from_nothing(highest: float, *, height: float) -> Axis:
    """Linear, with some room above the highest value."""
    top = highest * 1.1
    return Axis(_between(0, top, height, 0), _round_marks(top, ""))


def up_by_tens(highest: float, *, height: float) -> Axis:
    """Logarithmic from 1 up to the next of 1, 2, 5, 10, 20, …; marks at those, and thin ones without a text between them."""
    top = _next_round(max(highest, 2 * FLOOR_MS))
    place = _between(0, math.log10(top), height, 0)
    marks = []
    for decade in range(math.ceil(math.log10(top)) + 1):
        for digit in range(1, 10):
            value = digit * 10.0**decade
            if value <= top:
                marks.append(Mark(value, f"{value:,.0f}" if digit in STEPS else ""))
    return Axis(lambda value: place(math.log10(max(value, FLOOR_MS))), marks)


def _between(low: float, high: float, at_low: float, at_high: float) -> Scale:
    return lambda value: at_low + (value - low) / (high - low) * (at_high - at_low)


def _next_round(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in STEPS if power * factor >= value)


def _round_marks(highest: float, unit: str) -> list[Mark]:
    """Four to ten marks at 1, 2 or 5 times a power of ten."""
    step = _next_round(highest / 8)
    marks = [Mark(number * step, f"{number * step:,g}{unit}") for number in range(int(highest / step) + 1)]
    return [replace(marks[0], says="0"), *marks[1:]]
