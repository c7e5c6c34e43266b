"""How much a person may write, and how fast one side may write into one thread. Pure but for the clock; counted by each gateway process alone.

What is counted is what a write causes (`costs.py`). A token bucket each, kept as one number (GCRA): the moment at which the bucket would
be full again.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from services.gateway.costs import ONE_WRITE, Cost
from services.gateway.settings import GatewaySettings
from shared.callers import Caller
from shared.errors import ProblemError, problem
from shared.fields import OrderId

MAX_KEPT: Final = 20_000
# What adding and subtracting moments leaves over.
ROUNDING_S: Final = 1e-9
# A write to an order that is not there is looked at four times before that is said: at once, and after each retry tier.
LOOKS_AT_A_STRANGE_ORDER: Final = 4
LEAST_STRANGE_BURST: Final = 10
# Of what a person's writes may keep in an hour, this part at once: so no hour sees more than 1.25 times as much.
KEPT_AT_ONCE: Final = 0.25
UNSUBSCRIBING_PER_S: Final = 0.1
UNSUBSCRIBING_BURST: Final = 30
GUEST_SESSIONS_PER_S: Final = 0.5
GUEST_SESSIONS_BURST: Final = 30


class Buckets:
    """One bucket for each key: `burst` at once, `rate_per_s` in the long run; a rate of 0 is no limit.

    The keys used last are kept. One that is forgotten begins anew with a full bucket, which is what it has after burst / rate seconds anyway.
    """

    def __init__(self, *, rate_per_s: float, burst: float, max_kept: int = MAX_KEPT) -> None:
        self.rate_per_s, self.burst = rate_per_s, burst
        self._interval_s = 1 / rate_per_s if rate_per_s > 0 else 0.0
        self._patience_s = burst * self._interval_s
        self._max_kept = max_kept
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, key: str, now: float, count: float = 1) -> float:
        """How long until there are so many to take; 0 where there are. More than the bucket holds may be taken from a full one."""
        if not self._interval_s:
            return 0.0
        wanted_s = min(count * self._interval_s, self._patience_s)
        wait_s = self._full_at.get(key, now) + wanted_s - now - self._patience_s
        return wait_s if wait_s > ROUNDING_S else 0.0

    def take(self, key: str, now: float, count: float = 1) -> None:
        """Takes so many out, which `wait_s` has found there."""
        if not self._interval_s:
            return
        self._full_at[key] = max(self._full_at.get(key, now), now) + count * self._interval_s
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_kept:
            self._full_at.popitem(last=False)

    def give_back(self, key: str, count: float = 1) -> None:
        """So many were taken for nothing."""
        if key in self._full_at:
            self._full_at[key] -= count * self._interval_s

    def left(self, key: str, now: float) -> int:
        """How many single ones may be taken now."""
        if not self._interval_s:
            return math.floor(self.burst)
        lacking_s = max(0.0, self._full_at.get(key, now) - now)
        return max(0, math.floor((self._patience_s - lacking_s) / self._interval_s + ROUNDING_S))

    def until_full_s(self, key: str, now: float) -> float:
        """How long until as many may be taken as ever."""
        return max(0.0, self._full_at.get(key, now) - now)

    def __len__(self) -> int:
        return len(self._full_at)


@dataclass(frozen=True, slots=True)
class Charge:
    """What was counted for a write. `stranger` is its order, seen from its person, where nothing has shown yet that they see it."""

    person: str
    stranger: str | None = None


class WriteLimits:
    """All limits on writes. The shop's services have none: what they write is the shop's own business.

    A person has a number of writes a second and of bytes kept an hour, and fewer writes to orders of which it has not shown yet that they are
    there: each of those is looked at four times. A side is the customer, the seller with all logins, or the shop's staff. The gateway does
    not know whose an order is, so each side has a count of its own: what a stranger tries to write into a thread is nobody else's.
    """

    def __init__(self, settings: GatewaySettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        rate, burst = settings.person_writes_per_s, settings.person_writes_burst
        kept_per_h = settings.person_kept_mb_per_h * 1e6
        self.persons = Buckets(rate_per_s=rate, burst=burst)
        self.threads = Buckets(rate_per_s=settings.thread_writes_per_s, burst=settings.thread_writes_burst)
        self._kept = Buckets(rate_per_s=kept_per_h / 3_600, burst=kept_per_h * KEPT_AT_ONCE)
        self._strangers = Buckets(
            rate_per_s=rate / LOOKS_AT_A_STRANGE_ORDER,
            burst=max(LEAST_STRANGE_BURST, burst // LOOKS_AT_A_STRANGE_ORDER),
        )
        self._seen: OrderedDict[str, None] = OrderedDict()
        # Who lets a person write without a limit lets links be used so too.
        self._unsubscribing = Buckets(rate_per_s=UNSUBSCRIBING_PER_S if rate else 0, burst=UNSUBSCRIBING_BURST)
        self._guest_sessions = Buckets(rate_per_s=GUEST_SESSIONS_PER_S if rate else 0, burst=GUEST_SESSIONS_BURST)
        self._clock = clock

    def take(self, caller: Caller, order_id: OrderId | None, cost: Cost = ONE_WRITE) -> Charge | None:
        """Counts one write. Raises ProblemError (429) where there was too much just now; that one is not counted."""
        if caller.role == "service":
            return None
        now, person = self._clock(), caller.key
        stranger = None if order_id is None else f"{person}|{order_id}"
        if stranger is not None and self._is_seen(stranger):
            stranger = None
        side = _side(caller, order_id)
        asked: list[tuple[Buckets, str | None, float, str]] = [
            (self.persons, person, cost.writes, "You write too fast."),
            (self.threads, side, 1, "You write too fast into this thread."),
            (self._strangers, person if stranger else None, 1, "You write too fast to orders that are new here."),
            (self._kept, person, cost.kept_bytes, "You have written as much as may be kept for now."),
        ]
        for buckets, key, count, what in asked:
            if key is not None and (wait_s := buckets.wait_s(key, now, count)):
                raise _too_many(f"{what} Nothing was written", wait_s, self.headers(caller, order_id))
        for buckets, key, count, _ in asked:
            if key is not None:
                buckets.take(key, now, count)
        return Charge(person, stranger)

    def headers(self, caller: Caller, order_id: OrderId | None) -> dict[str, str]:
        """What there is to write, before it is too much: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

        `q` writes at once, which come back within `w` seconds; `r` are left, and all are back in `t` seconds. None for the shop's services.
        """
        now, keys = self._clock(), {"person": caller.key, "thread": _side(caller, order_id)}
        buckets = {"person": self.persons, "thread": self.threads}
        limited = [
            (name, buckets[name], key)
            for name, key in keys.items()
            if key is not None and buckets[name].rate_per_s > 0 and caller.role != "service"
        ]
        if not limited:
            return {}
        policy = [
            f'"{name}";q={each.burst:.0f};w={math.ceil(each.burst / each.rate_per_s)}' for name, each, _ in limited
        ]
        left = [
            f'"{name}";r={each.left(key, now)};t={math.ceil(each.until_full_s(key, now))}'
            for name, each, key in limited
        ]
        return {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)}

    def found(self, charge: Charge | None) -> None:
        """The write has shown that its order is there for its person: it was looked at once, and the next ones will be too."""
        if charge is None or charge.stranger is None:
            return
        self._strangers.give_back(charge.person)
        self._seen[charge.stranger] = None
        if len(self._seen) > MAX_KEPT:
            self._seen.popitem(last=False)

    def unsubscribe(self, person: str) -> None:
        """Counts one click on the link that ends a person's mails. Raises ProblemError (429)."""
        self._take_one(self._unsubscribing, person, "This link was used very often just now. Nothing was changed")

    def open_guest_session(self, link: str) -> None:
        """Counts one session of a guest's link. Raises ProblemError (429)."""
        self._take_one(self._guest_sessions, link, "This link was used very often just now. No session was opened")

    def _take_one(self, buckets: Buckets, key: str, what: str) -> None:
        now = self._clock()
        if wait_s := buckets.wait_s(key, now):
            raise _too_many(what, wait_s)
        buckets.take(key, now)

    def _is_seen(self, stranger: str) -> bool:
        if stranger not in self._seen:
            return False
        self._seen.move_to_end(stranger)
        return True


def _side(caller: Caller, order_id: OrderId | None) -> str | None:
    return None if order_id is None else f"{order_id}|{'shop' if caller.side == 'shop' else caller.mailbox}"


def _too_many(what: str, wait_s: float, headers: Mapping[str, str] | None = None) -> ProblemError:
    seconds = math.ceil(wait_s)
    said = problem("too_many_requests", f"{what}; try again in {seconds} s.")
    return ProblemError(said, retry_after_s=seconds, headers=headers)
