"""The Prefer header as RFC 7240 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway import prefer
from services.gateway.prefer import DEFAULT_PATIENCE_S, Preference


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], Preference()),
        (["respond-async"], Preference(respond_async=True)),
        (["Respond-Async"], Preference(respond_async=True)),
        (["wait=10"], Preference(wait_s=10)),
        (["wait = 10"], Preference(wait_s=10)),
        (['wait="10"'], Preference(wait_s=10)),
        (["respond-async, wait=10"], Preference(respond_async=True, wait_s=10)),
        (["respond-async", "wait=10"], Preference(respond_async=True, wait_s=10)),
        (["respond-async; foo=bar, wait=10"], Preference(respond_async=True, wait_s=10)),
        (["wait=5, wait=9"], Preference(wait_s=5)),
        (["wait=0"], Preference(wait_s=0)),
        (["wait=31"], Preference(wait_s=30)),
        (["wait=99999999999999999999999999"], Preference(wait_s=30)),
        (["wait=-1"], Preference()),
        (["wait=soon"], Preference()),
        (["wait"], Preference()),
        (["wait=٣"], Preference()),
        (['foo="a, respond-async", return=minimal'], Preference()),
        (["lenient,,  ,wait=1"], Preference(wait_s=1)),
    ],
)
def test_what_is_asked_is_understood_and_the_rest_is_ignored(headers: list[str], expected: Preference) -> None:
    assert prefer.read(headers) == expected


@given(st.lists(st.text(max_size=200), max_size=3))
def test_no_header_is_too_strange(headers: list[str]) -> None:
    assert 0 <= prefer.read(headers).patience_s <= 30


def test_patience_is_none_for_async_alone_the_number_asked_for_or_the_usual() -> None:
    assert Preference().patience_s == DEFAULT_PATIENCE_S
    assert Preference(respond_async=True).patience_s == 0
    assert Preference(respond_async=True, wait_s=7).patience_s == 7


def test_preference_applied_names_what_counted() -> None:
    both = Preference(respond_async=True, wait_s=7)
    assert Preference().applied(accepted_only=True) is None
    assert both.applied(accepted_only=True) == "respond-async, wait=7"
    assert both.applied(accepted_only=False) == "wait=7"
