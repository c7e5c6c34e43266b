"""The limits on writes, without a gateway."""

from services.gateway.limits import Buckets


def test_a_burst_is_taken_at_once_and_then_as_many_as_the_rate() -> None:
    buckets = Buckets(rate_per_s=2, burst=3)
    taken = [taken_at(buckets, now) for now in (0, 0, 0, 0, 0.4, 0.5, 0.6, 1.0, 60, 60, 60, 60)]
    assert taken == [True, True, True, False, False, True, False, True, True, True, True, False]


def test_who_is_refused_is_told_how_long_to_wait_and_is_not_counted() -> None:
    buckets = Buckets(rate_per_s=0.1, burst=1)
    buckets.take("a", 100.0)
    assert [round(buckets.wait_s("a", now), 6) for now in (100.0, 103.0, 109.0, 110.0)] == [10.0, 7.0, 1.0, 0.0]
    assert buckets.wait_s("b", 100.0) == 0


def test_a_rate_of_0_is_no_limit_and_keeps_nothing() -> None:
    buckets = Buckets(rate_per_s=0, burst=1)
    assert [taken_at(buckets, 0.0) for _ in range(1_000)] == [True] * 1_000
    assert len(buckets) == 0


def test_only_the_keys_used_last_are_kept() -> None:
    buckets = Buckets(rate_per_s=0.001, burst=1, max_kept=2)
    for key in ("a", "b", "c"):
        buckets.take(key, 0.0)
    assert len(buckets) == 2
    assert [buckets.wait_s(key, 0.0) > 0 for key in ("a", "b", "c")] == [False, True, True]


def taken_at(buckets: Buckets, now: float) -> bool:
    if buckets.wait_s("a", now) > 1e-9:
        return False
    buckets.take("a", now)
    return True
