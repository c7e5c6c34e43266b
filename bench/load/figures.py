"""What a load run has seen, pure: samples, percentiles, and the table at its end."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["list", "conversation", "post", "read mark", "live"]
KINDS: Final[tuple[Kind, ...]] = ("list", "conversation", "post", "read mark", "live")
PARTS: Final = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: when it was due (seconds into the run), how long after that moment it was answered, and how it failed, if so."""

    kind: Kind
    due_s: float
    took_ms: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a service, in MB of 10^6 bytes."""

    service: str
    at_s: float
    mb: float


@dataclass
class Run:
    """One run at one rate."""

    rate: float
    duration_s: float
    samples: list[Sample] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    events: int = 0
    worst_send_delay_ms: float = 0.0

    @property
    def errors(self) -> int:
        return sum(1 for sample in self.samples if sample.error is not None)

    def took_ms(self, *, kind: Kind | None = None, since_s: float = 0.0, until_s: float = math.inf) -> list[float]:
        """Times of requests that were due in this part of the run, failed ones too: a failure is no way to be fast."""
        return [
            each.took_ms
            for each in self.samples
            if (kind is None or each.kind == kind) and since_s <= each.due_s < until_s
        ]

    def p99_ms(self, *, since_s: float = 0.0) -> float:
        return percentile(self.took_ms(since_s=since_s), 99)

    def p99_by_part(self) -> list[float]:
        """One figure for each fifth of the run, so that a drift shows."""
        part_s = self.duration_s / PARTS
        return [percentile(self.took_ms(since_s=n * part_s, until_s=(n + 1) * part_s), 99) for n in range(PARTS)]


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest of the values that is not below `percent` of them (nearest rank); not a number where there are none."""
    ranked = sorted(values)
    if not ranked:
        return math.nan
    return ranked[max(0, math.ceil(percent / 100 * len(ranked)) - 1)]


def table(run: Run) -> str:
    """By kind: how many, how many failed, and percentiles in milliseconds; then memory and tail over the time of the run."""
    head = f"{'':<14}{'requests':>9}{'errors':>8}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}   ms from the intended moment"
    lines = [head, *(_line(kind, run, kind) for kind in KINDS), _line("all", run, None), ""]
    parts = ", ".join(f"{value:.0f}" for value in run.p99_by_part())
    lines.append(f"p99 of each fifth of the run: {parts} ms; live events received: {run.events:,}")
    lines += [_memory_line(service, run.memory) for service in dict.fromkeys(each.service for each in run.memory)]
    lines.append(
        f"the generator itself sent at most {run.worst_send_delay_ms:.0f} ms late (counted in the times above)"
    )
    lines += [f"error: {count} x {what}" for what, count in _failures(run.samples)]
    return "\n".join(lines)


def _line(name: str, run: Run, kind: Kind | None) -> str:
    took = run.took_ms(kind=kind)
    errors = sum(1 for each in run.samples if each.error is not None and kind in (None, each.kind))
    figures = "".join(f"{percentile(took, percent):>9.1f}" for percent in (50, 90, 99, 100))
    return f"{name:<14}{len(took):>9,}{errors:>8,}{figures}"


def _memory_line(service: str, memory: Sequence[Memory]) -> str:
    mine = [each.mb for each in memory if each.service == service]
    shown = [mine[round(n / PARTS * (len(mine) - 1))] for n in range(PARTS + 1)]
    return f"memory of {service}, MB: {', '.join(f'{mb:.0f}' for mb in shown)}"


def _failures(samples: Iterable[Sample]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for sample in samples:
        if sample.error is not None:
            what = f"{sample.kind}: {sample.error}"
            counts[what] = counts.get(what, 0) + 1
    return sorted(counts.items(), key=lambda item: -item[1])
