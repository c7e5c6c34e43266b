"""The pauses between tries, and what the server's answers mean."""

import pytest

from services.notifier.outcomes import Broken, Refused, ServerAway, Unknown
from services.notifier.pauses import Pauses
from services.notifier.smtp import refusal, refused_content, without_addresses


def test_pauses_double_up_to_the_longest() -> None:
    pauses = Pauses(first_s=1, longest_s=10, jitter=lambda: 0.0)

    assert [pauses.after(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_a_pause_may_be_a_quarter_longer_and_never_shorter() -> None:
    assert Pauses(first_s=1, jitter=lambda: 1.0).after(1) == 1.25
    assert all(1 <= Pauses(first_s=1).after(1) <= 1.25 for _ in range(100))


def test_thousands_of_failures_overflow_nothing() -> None:
    assert Pauses(longest_s=900, jitter=lambda: 0.0).after(100_000) == 900


@pytest.mark.parametrize("code", [421, 450, 451, 452, 499])
def test_4xx_may_be_tried_again(code: int) -> None:
    outcome = refusal(code, "later")

    assert isinstance(outcome, Refused)
    assert not outcome.is_final


@pytest.mark.parametrize("code", [500, 550, 552, 554, 599])
def test_5xx_is_final(code: int) -> None:
    outcome = refusal(code, "no")

    assert isinstance(outcome, Refused)
    assert outcome.is_final


@pytest.mark.parametrize("code", [530, 534, 535, 538])
def test_to_be_signed_in_is_our_duty_and_not_the_mails(code: int) -> None:
    assert isinstance(refusal(code, "sign in first"), ServerAway)


@pytest.mark.parametrize("code", [-1, 200, 354, 600])
def test_any_other_answer_is_out_of_step_before_data_and_of_unknown_outcome_after_it(code: int) -> None:
    assert isinstance(refusal(code, "?"), Broken)
    assert isinstance(refused_content(code, "?"), Unknown)


def test_no_address_stands_in_what_is_kept_of_an_answer() -> None:
    kept = without_addresses("5.1.1 <mara@example.com>: no such\nmailbox mara@example.com " + "x" * 1_000)

    assert kept.startswith("5.1.1 (address) no such mailbox (address) x")
    assert len(kept) == 300
