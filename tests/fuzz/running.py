"""Runs parsers on mutated input: so many inputs, from a seed that gives the same ones again."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.fuzz.mutations import mutated
from tests.fuzz.parsers import Parser

SHOWN: Final = 200
# Of the processor: far beyond what any input of at most 200 kB takes; what takes longer would hold everybody else up.
SLOW_S: Final = 2.0


@dataclass
class Tally:
    """What came of one parser's inputs. `failures` are inputs with an exception that was not declared, or with none in time."""

    name: str
    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def inputs(self) -> int:
        return self.taken + sum(self.refused.values()) + len(self.failures)

    def line(self) -> str:
        said = ", ".join(f"{name} {count}" for name, count in sorted(self.refused.items()))
        return (
            f"{self.name:<30} {self.inputs:>8} inputs  {self.taken:>7} taken  {len(self.failures):>3} failures"
            f"  slowest {self.slowest_s * 1000:7.1f} ms  refused: {said or 'none'}"
        )


def run(parser: Parser, *, inputs: int, seed: str) -> Tally:
    """The seeds themselves first: each must be taken as it is, or the mutants would all die at the door."""
    tally, others = Tally(parser.name), tuple(parser.seeds)
    chance = Random(f"{seed}/{parser.name}")  # noqa: S311 - the same inputs from the same seed
    for number in range(inputs):
        sent = parser.seeds[number] if number < len(parser.seeds) else mutated(chance.choice(others), others, chance)
        _try(parser, sent, tally)
    return tally


def _try(parser: Parser, sent: bytes, tally: Tally) -> None:
    began = time.process_time()
    try:
        parser.parse(sent)
        tally.taken += 1
    except parser.declared as refusal:
        tally.refused[type(refusal).__name__] += 1
    except Exception as error:  # whatever else comes is what is looked for
        tally.failures.append(f"{type(error).__name__}: {str(error)[:SHOWN]}  for {sent[:SHOWN]!r} ({len(sent)} bytes)")
    took_s = time.process_time() - began
    tally.slowest_s = max(tally.slowest_s, took_s)
    if took_s > SLOW_S:
        tally.failures.append(f"took {took_s:.1f} s  for {sent[:SHOWN]!r} ({len(sent)} bytes)")


def shares(parsers: Sequence[Parser], inputs: int) -> Iterable[tuple[Parser, int]]:
    """How many of the inputs each parser is given; together at least so many."""
    weights = sum(parser.weight for parser in parsers)
    return [(parser, -(-inputs * parser.weight // weights)) for parser in parsers]
