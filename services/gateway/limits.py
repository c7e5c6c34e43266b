"""How fast a person may write, and how fast one side may write into one thread. Pure but for the clock; counted by each gateway process alone.

A token bucket each, kept as one number (GCRA): the moment at which the bucket would be full again.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from services.gateway.settings import GatewaySettings
from shared.callers import Caller
from shared.errors import ProblemError, problem
from shared.fields import OrderId

MAX_KEPT: Final = 20_000


class Buckets:
    """One bucket for each key: `burst` at once, `rate_per_s` in the long run; a rate of 0 is no limit.

    The keys used last are kept. One that is forgotten begins anew with a full bucket, which is what it has after burst / rate seconds anyway.
    """

    def __init__(self, *, rate_per_s: float, burst: int, max_kept: int = MAX_KEPT) -> None:
        self._interval_s = 1 / rate_per_s if rate_per_s > 0 else 0.0
        self._patience_s = burst * self._interval_s
        self._max_kept = max_kept
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str, now: float) -> float:
        """How long until there is one to take; 0 where there is."""
        if not self._interval_s:
            return 0.0
        return max(0.0, self._full_at.get(key, now) + self._interval_s - now - self._patience_s)

    def take(self, key: str, now: float) -> None:
        """Takes one out, which `wait_s` has found there."""
        if not self._interval_s:
            return
        self._full_at[key] = max(self._full_at.get(key, now), now) + self._interval_s
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_kept:
            self._full_at.popitem(last=False)

    def __len__(self) -> int:
        return len(self._full_at)


class WriteLimits:
    """Both limits on writes. The shop's services have none: what they write is the shop's own business.

    A side is the customer, the seller with all logins, or the shop's staff. The gateway does not know whose an order is, so each side has
    a count of its own: what a stranger tries to write into a thread is nobody else's.
    """

    def __init__(self, settings: GatewaySettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._persons = Buckets(rate_per_s=settings.person_writes_per_s, burst=settings.person_writes_burst)
        self._threads = Buckets(rate_per_s=settings.thread_writes_per_s, burst=settings.thread_writes_burst)
        self._clock = clock

    def take(self, caller: Caller, order_id: OrderId | None) -> None:
        """Counts one write. Raises ProblemError (429) where there were too many just now; that one is not counted."""
        if caller.role == "service":
            return
        now, person = self._clock(), caller.key
        side = None if order_id is None else f"{order_id}|{'shop' if caller.side == 'shop' else caller.mailbox}"
        if wait_s := self._persons.wait_s(person, now):
            raise _too_many("You write too fast.", wait_s)
        if side is not None and (wait_s := self._threads.wait_s(side, now)):
            raise _too_many("You write too fast into this thread.", wait_s)
        self._persons.take(person, now)
        if side is not None:
            self._threads.take(side, now)


def _too_many(what: str, wait_s: float) -> ProblemError:
    seconds = math.ceil(wait_s)
    return ProblemError(
        problem("too_many_requests", f"{what} Nothing was written; try again in {seconds} s."), retry_after_s=seconds
    )
