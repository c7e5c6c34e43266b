"""The limits on writes, without a gateway: what a write causes is what is counted."""

from dataclasses import dataclass
from typing import Any

import pytest

from services.gateway.commands import ready
from services.gateway.costs import Cost
from services.gateway.limits import GUEST_SESSIONS_BURST, UNSUBSCRIBING_BURST, Buckets, WriteLimits
from services.gateway.settings import GatewaySettings
from shared.callers import Caller
from shared.commands import MarksToSet, MarkThreadsRead, ThreadMark
from shared.errors import ProblemError
from tests.made import ADMIN, CUSTOMER, OTHER_CUSTOMER, SELLER, envelope, mark_read, open_dispute, post

SERVICE = Caller(role="service", id="shop", name="Shop")


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock | None = None, **settings: Any) -> WriteLimits:
    needed = {
        "amqp_url": "amqp://localhost/",
        "threads_url": "http://localhost:8081",
        "token_issuer": "shop",
        "token_jwks_url": "https://shop.example/keys",
        "link_secret": "x" * 32,
        "command_id_secret": "x" * 32,
    }
    return WriteLimits(GatewaySettings.model_validate(needed | settings), clock=clock or Clock())


def taken(limits: WriteLimits, command: Any, *, by: Caller, found: bool = False) -> str:
    """`ok`, or what was said."""
    prepared = ready(command)
    try:
        charge = limits.take(by, command.subject or getattr(command.data, "order_id", None), prepared.cost)
    except ProblemError as error:
        return error.problem.detail
    if found:
        limits.found(charge)
    return "ok"


def marks(count: int, *, by: Caller = CUSTOMER) -> MarkThreadsRead:
    named = tuple(ThreadMark(order_id=f"o-{number}", up_to_seq=1) for number in range(count))
    return MarkThreadsRead(data=MarksToSet(caller=by, threads=named), **envelope())


def test_a_list_of_marks_counts_for_every_thread_in_it() -> None:
    fair = limits(person_writes_burst=200)
    answers = [taken(fair, marks(100), by=CUSTOMER) for _ in range(3)]
    assert answers[:2] == ["ok", "ok"]
    assert answers[2] == "You write too fast. Nothing was written; try again in 5 s."
    assert taken(fair, marks(100), by=OTHER_CUSTOMER) == "ok"


def test_more_than_the_bucket_holds_goes_from_a_full_one_and_is_owed() -> None:
    clock = Clock()
    fair = limits(clock, person_writes_burst=10, person_writes_per_s=10)
    assert taken(fair, marks(100), by=CUSTOMER) == "ok"
    assert "try again in 10 s" in taken(fair, post("a"), by=CUSTOMER)
    clock.now += 10
    assert taken(fair, post("a"), by=CUSTOMER) == "ok"


def test_all_and_a_step_of_a_dispute_count_for_more_than_a_post() -> None:
    everything = MarkThreadsRead(data=MarksToSet(caller=CUSTOMER, all_threads=True), **envelope())
    costs = [ready(command).cost.writes for command in (post("a"), mark_read(1, by=SELLER), open_dispute(), everything)]
    assert costs == [1, 1, 5, 20]


def test_what_a_person_keeps_in_an_hour_is_bounded_and_others_write_on() -> None:
    clock = Clock()
    fair = limits(clock, person_kept_mb_per_h=1, person_writes_per_s=0, thread_writes_per_s=0)
    text, kept, refused = "x" * 10_000, 0, ""
    for _ in range(3_600):
        clock.now += 1
        command = post(text)
        answer = taken(fair, command, by=CUSTOMER)
        kept += ready(command).cost.kept_bytes if answer == "ok" else 0
        refused = refused if answer == "ok" else answer
    assert 1_100_000 < kept <= 1_250_000 + 30_000
    assert "as much as may be kept" in refused
    assert taken(fair, post(text), by=OTHER_CUSTOMER) == "ok"


def test_orders_that_were_never_found_are_tried_more_slowly_and_the_known_ones_are_not() -> None:
    fair = limits(person_writes_burst=200, thread_writes_burst=200)
    assert taken(fair, post("known", order_id="mine"), by=CUSTOMER, found=True) == "ok"
    made_up = [taken(fair, post("a", order_id=f"made-up-{number}"), by=CUSTOMER) for number in range(60)]
    assert made_up.count("ok") == 50
    assert "orders that are new here" in made_up[-1]
    assert taken(fair, post("again", order_id="mine"), by=CUSTOMER) == "ok"
    found = [taken(fair, post("a", order_id=f"real-{number}"), by=ADMIN, found=True) for number in range(100)]
    assert set(found) == {"ok"}


def test_links_are_limited_by_their_person_and_their_order() -> None:
    fair = limits()
    for _ in range(UNSUBSCRIBING_BURST):
        fair.unsubscribe("customer:c-7")
    for _ in range(GUEST_SESSIONS_BURST):
        fair.open_guest_session("1042")
    with pytest.raises(ProblemError) as unsubscribing:
        fair.unsubscribe("customer:c-7")
    with pytest.raises(ProblemError) as opening:
        fair.open_guest_session("1042")
    fair.unsubscribe("customer:c-8")
    fair.open_guest_session("1043")
    assert {unsubscribing.value.problem.status, opening.value.problem.status} == {429}
    assert unsubscribing.value.retry_after_s == 10
    assert fair.persons.left("customer:c-7", 1_000.0) == 200


def test_the_shops_services_have_no_limit() -> None:
    fair = limits(person_writes_burst=1, person_kept_mb_per_h=0.001)
    assert {fair.take(SERVICE, "1042", Cost(1_000, 10**9)) for _ in range(10)} == {None}


def test_what_is_left_of_a_bucket_can_be_said() -> None:
    buckets = Buckets(rate_per_s=2, burst=10)
    assert buckets.left("a", 0.0) == 10
    buckets.take("a", 0.0, 7)
    assert [buckets.left("a", now) for now in (0.0, 0.4, 0.5, 3.5, 60.0)] == [3, 3, 4, 10, 10]
    buckets.give_back("a", 2)
    assert buckets.left("a", 0.0) == 5


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
