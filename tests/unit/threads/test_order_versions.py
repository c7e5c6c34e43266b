"""Which of two snapshots stands: the version, then the value, then the shop's own time; never a clock of ours."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from services.threads import order_versions
from services.threads.order_versions import OrderRefused, Snapshot, compare
from tests.made import snapshot

EARLIER, LATER = "2026-01-31T09:05:00.000000Z", "2026-01-31T09:05:00.000001Z"
STANDING = Snapshot(3, "content", EARLIER, "c-1", "s-1", guest=False)


def test_the_higher_version_stands_whatever_the_times_say() -> None:
    higher = replace(STANDING, version=4, digest="other", source_time=None)
    assert compare("1", higher, STANDING) == "replaces"
    assert compare("1", STANDING, higher) == "superseded"


def test_a_copy_changes_nothing() -> None:
    for time in (None, EARLIER):
        assert compare("1", replace(STANDING, source_time=time), STANDING) == "stands"


def test_of_one_version_the_newer_source_time_stands() -> None:
    newer = replace(STANDING, digest="other", source_time=LATER)
    assert compare("1", newer, STANDING) == "replaces"
    assert compare("1", STANDING, newer) == "superseded"


@pytest.mark.parametrize(("time", "standing"), [(EARLIER, EARLIER), (None, EARLIER), (LATER, None), (None, None)])
def test_of_one_version_without_a_newer_time_other_content_is_refused(time: str | None, standing: str | None) -> None:
    stands = replace(STANDING, source_time=standing)
    with pytest.raises(OrderRefused) as refused:
        compare("1", replace(STANDING, digest="other", source_time=time), stands)
    assert (refused.value.reason, refused.value.standing) == ("version_conflict", stands)


def test_parties_are_fixed_whichever_way_a_snapshot_would_replace_them() -> None:
    for new in (replace(STANDING, version=4), replace(STANDING, digest="other", source_time=LATER)):
        for other in (replace(new, customer_id="c-2"), replace(new, seller_id="s-2"), replace(new, guest=True)):
            with pytest.raises(OrderRefused) as refused:
                compare("1", other, STANDING)
            assert refused.value.reason == "parties_changed"


def test_snapshots_end_at_the_same_one_in_every_order() -> None:
    """Contents A and B of one version, A again with a newer time: A is what the shop said last, however they arrive."""
    said = [
        replace(STANDING, digest=d, source_time=f"2026-01-31T09:05:0{t}.000000Z")
        for d, t in (("A", 1), ("B", 2), ("A", 3))
    ]
    for arrived in itertools.permutations(said):
        standing = arrived[0]
        for new in arrived[1:]:
            if compare("1", new, standing) == "replaces":
                standing = new
        assert standing == said[2]


def test_the_source_time_is_the_orders_own_before_the_events() -> None:
    own = datetime(2026, 1, 31, 10, 5, tzinfo=timezone(timedelta(hours=1)))
    event = datetime(2027, 1, 1, tzinfo=UTC)
    assert order_versions.source_time(own, event) == "2026-01-31T09:05:00.000000+00:00"
    assert order_versions.source_time(None, event) == "2027-01-01T00:00:00.000000+00:00"
    assert order_versions.source_time(None, None) is None


def test_what_is_said_beside_the_order_is_not_its_content() -> None:
    with_time = snapshot().model_copy(update={"updated_at": datetime(2026, 2, 1, tzinfo=UTC)})
    assert order_versions.content_digest(with_time) == order_versions.content_digest(snapshot())
    assert order_versions.spelled_digest(with_time) == order_versions.spelled_digest(snapshot())
