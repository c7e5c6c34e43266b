"""What may be acknowledged at once."""

from hypothesis import given
from hypothesis import strategies as st

from services.threads.acknowledge import Outstanding


def _delivered(*tags: int) -> Outstanding:
    outstanding = Outstanding()
    for tag in tags:
        outstanding.delivered(tag)
    return outstanding


def test_a_whole_group_is_acknowledged_at_once() -> None:
    assert _delivered(1, 2, 3).settle([1, 2, 3]) == (3, [])


def test_nothing_is_acknowledged_past_an_unsettled_delivery() -> None:
    outstanding = _delivered(1, 2, 3, 4)
    assert outstanding.settle([1, 3, 4]) == (1, [3, 4])
    assert outstanding.settle([2]) == (2, [])


def test_settling_twice_acknowledges_once() -> None:
    outstanding = _delivered(1)
    assert outstanding.settle([1]) == (1, [])
    assert outstanding.settle([1]) == (None, [])


@given(st.lists(st.integers(1, 40), unique=True), st.data())
def test_every_delivery_is_acknowledged_once_and_never_before_it_is_settled(
    tags: list[int], data: st.DataObject
) -> None:
    ordered = sorted(tags)
    outstanding = _delivered(*ordered)
    acknowledged: list[int] = []
    settled: set[int] = set()
    left = data.draw(st.permutations(ordered))
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        settled |= set(batch)
        up_to, single = outstanding.settle(batch)
        covered = [tag for tag in ordered if up_to is not None and tag <= up_to and tag not in acknowledged]
        assert set(covered) | set(single) <= settled
        acknowledged += covered + single
    assert sorted(acknowledged) == ordered
    assert len(outstanding) == 0
