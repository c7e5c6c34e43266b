"""The plan of faults that a seed stands for: which, in which order, on whom, for how long. Pure; the same seed is the same plan."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

MAX_GAP_S = 14.0


@dataclass(frozen=True)
class Kind:
    """A kind of fault. The heavier, the more often; `lasts_s` is drawn from this range."""

    weight: int = 1
    lasts_s: tuple[float, float] = (1.0, 4.0)


@dataclass(frozen=True)
class Step:
    """One fault to come. `pick` (0 to 1) chooses on whom; `gap_s` is the pause before it."""

    kind: str
    gap_s: float
    lasts_s: float
    pick: float

    def of(self, candidates: Sequence[object]) -> int:
        """The index that it picks."""
        return min(int(self.pick * len(candidates)), len(candidates) - 1)


def steps(lane: str, kinds: Mapping[str, Kind], *, seed: int, mean_gap_s: float) -> Iterator[Step]:
    """Without end: every kind once, shuffled, then by weight. Faults of one lane never overlap; lanes are independent of each other."""
    chance = random.Random(f"{seed} {lane}")  # noqa: S311 - repeatable on purpose
    names = list(kinds)
    first = list(names)
    chance.shuffle(first)
    while True:
        name = first.pop() if first else chance.choices(names, weights=[kinds[each].weight for each in names])[0]
        yield Step(
            name,
            gap_s=min(chance.expovariate(1 / mean_gap_s), 3 * mean_gap_s),
            lasts_s=chance.uniform(*kinds[name].lasts_s),
            pick=chance.random(),
        )


def mean_gap_s(kinds: Mapping[str, Kind], *, duration_s: float) -> float:
    """The pause between faults of a lane with which each kind has its turn in two thirds of the run, if the run is long enough."""
    share_s = duration_s / (1.5 * max(len(kinds), 1))
    lasting_s = sum(sum(kind.lasts_s) / 2 for kind in kinds.values()) / max(len(kinds), 1)
    return max(1.5, min(share_s - lasting_s - 2, MAX_GAP_S))
