"""When each request is due and of which kind it is, pure: decided before the run, so that no answer can put off the next request."""

import random
from collections.abc import Iterator
from typing import Final

from bench.load.figures import KINDS, Kind

SHARES: Final[dict[Kind, float]] = {"list": 30, "conversation": 30, "post": 25, "read mark": 10, "live": 5}


def arrivals(rate: float, duration_s: float, *, chance: random.Random) -> Iterator[tuple[float, Kind]]:
    """Moments in seconds from the start, `1 / rate` apart, and the kind of each."""
    shares = [SHARES[kind] for kind in KINDS]
    for number in range(round(rate * duration_s)):
        yield number / rate, chance.choices(KINDS, shares)[0]
