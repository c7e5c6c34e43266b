"""Two programs measured in turn in one run, and the row of the table that comes of it."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

ROUNDS: Final = 5
HEAD: Final = (
    "| | ours | | the baseline | | compared, median (lowest to highest) | aim | | |\n"
    "|---|---|---|---|---|---|---|---|---|"
)

Measured = Callable[[], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured of ours and of the baseline, round by round, in `unit`.

    `compared` is the figure that the aim is about, one value a round (mostly the ratio of the two); its median is held against `aim`.
    """

    name: str
    what: str
    baseline_is: str
    unit: str
    ours: Sequence[float]
    baseline: Sequence[float]
    compared: Sequence[float]
    aim: float
    better: Literal["higher", "lower"] = "higher"
    note: str = ""

    @property
    def result(self) -> float:
        return statistics.median(self.compared)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.compared), max(self.compared)

    @property
    def met(self) -> bool:
        return self.result >= self.aim if self.better == "higher" else self.result <= self.aim


@dataclass(frozen=True, slots=True)
class Failed:
    """A comparison that gave no figure, and why."""

    name: str
    why: str


async def in_turn(ours: Measured, baseline: Measured, *, rounds: int = ROUNDS) -> tuple[list[float], list[float]]:
    """A B A B …, so that what the machine does meanwhile falls on both."""
    pairs = [(await ours(), await baseline()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


async def compare(
    ours: Measured,
    baseline: Measured,
    *,
    name: str,
    what: str,
    baseline_is: str,
    unit: str,
    aim: float,
    better: Literal["higher", "lower"] = "higher",
    rounds: int = ROUNDS,
    note: str = "",
) -> Row:
    """Both in turn; compared is ours : baseline of each round."""
    of_ours, of_baseline = await in_turn(ours, baseline, rounds=rounds)
    ratios = [mine / theirs for mine, theirs in zip(of_ours, of_baseline, strict=True)]
    return Row(name, what, baseline_is, unit, of_ours, of_baseline, ratios, aim, better, note)


def line(row: Row | Failed) -> str:
    """The row as a line of Markdown: medians, the compared figure with its spread, the aim, and whether it is met."""
    if isinstance(row, Failed):
        why = " ".join(row.why.split()).replace("|", "\\|")
        return f"| {row.name} | failed | | | | | | **not measured** | {why} |"
    low, high = row.spread
    sign = "≥" if row.better == "higher" else "≤"
    ours, baseline = (f"{statistics.median(values):,.4g}" if values else "" for values in (row.ours, row.baseline))
    verdict = "met" if row.met else "**not met**"
    return (
        f"| {row.name} | {row.what} | {ours} {row.unit} | {row.baseline_is} | {baseline} "
        f"| {row.result:.3g} ({low:.3g} to {high:.3g}) | {sign} {row.aim:g} | {verdict} | {row.note} |"
    )
