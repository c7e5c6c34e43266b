"""A few seconds of what `make fuzz` does for minutes, with a seed of its own each time; it stands in the failure."""

import secrets
from random import Random

import pytest

from tests.fuzz.http import http_parsers
from tests.fuzz.mutations import PIECES, mutated
from tests.fuzz.parsers import Parser, parsers
from tests.fuzz.running import run, shares

INPUTS = 20_000
SEED = secrets.token_hex(4)
PARSERS = [*parsers(), *http_parsers()]


@pytest.mark.parametrize(("parser", "share"), shares(PARSERS, INPUTS), ids=[parser.name for parser in PARSERS])
def test_no_input_leads_to_anything_but_a_declared_refusal(parser: Parser, share: int) -> None:
    tally = run(parser, inputs=share, seed=SEED)
    assert not tally.failures, f"seed {SEED}: {tally.failures[:3]}"
    assert tally.inputs == share


@pytest.mark.parametrize("parser", PARSERS, ids=[parser.name for parser in PARSERS])
def test_good_input_is_taken(parser: Parser) -> None:
    """Else all that is made of it would die at the door, and nothing behind the door be tried."""
    for seed in parser.seeds:
        parser.parse(seed)


def test_the_fuzzer_sees_an_exception_that_nobody_declared() -> None:
    """And the same seed gives the same inputs."""
    broken = Parser("broken", lambda sent: sent.decode(), [b"as it should be"], declared=())
    first, second = (run(broken, inputs=500, seed="fixed") for _ in range(2))
    assert first.failures
    assert first.failures == second.failures
    assert first.inputs == 500


def test_the_pieces_that_break_parsers_are_used() -> None:
    chance = Random(1)  # noqa: S311 - the same inputs each time
    made = b"".join(mutated(b'{"a": 1}', (b"b",), chance) for _ in range(3_000))
    assert all(piece in made for piece in PIECES[:20])
