"""How long to wait before the next try: pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses that double from the first up to the longest, each made up to a quarter longer so that mails do not come back in step."""

    first_s: float = 1.0
    longest_s: float = 900.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row (1 or more)."""
        doublings = min(max(failures, 1) - 1, 40)
        pause_s = min(self.first_s * 2.0**doublings, self.longest_s)
        return pause_s * (1 + self.jitter() / 4)
