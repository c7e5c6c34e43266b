"""A run as an SVG of three panels: latency over time, latency by percentile, and memory over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, log10
from typing import Final

from bench.load.figures import KINDS, Run, percentile

WIDTH: Final = 960
PANEL: Final = 230
LEFT: Final = 64
RIGHT: Final = 150
TOP: Final = 56
GAP: Final = 62
COLOURS: Final = ("#1b6ca8", "#c8553d", "#588157", "#8e5ea2", "#b8860b", "#333333")
PERCENTILES: Final = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99)
BUCKETS: Final = 60
STYLE: Final = "text{font:12px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.g{stroke:#ddd}path{fill:none;stroke-width:1.6}"

Point = tuple[float, float]
Curve = tuple[str, Sequence[Point]]
Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to pixels, and the marks on it with what they say."""

    place: Scale
    marks: Sequence[tuple[float, str]]


def svg(run: Run, *, title: str) -> str:
    """The whole picture. Times are on a logarithmic axis."""
    time_axis = _linear(0, run.duration_s, _round_marks(run.duration_s, "s"))
    panels = [
        ("latency over time, ms from the intended moment", time_axis, _over_time(run), True),
        ("latency by percentile, ms", _percentile_axis(), _by_percentile(run), True),
        ("resident memory over time, MB", time_axis, _memory(run), False),
    ]
    shown = [panel for panel in panels if panel[2]]
    height = TOP + len(shown) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/><text class="t" x="{LEFT}" y="24">{escape(title)}</text>',
    ]
    for number, (name, across, curves, is_latency) in enumerate(shown):
        highest = max(value for _, points in curves for _, value in points)
        up = _logarithmic(highest) if is_latency else _linear_up(highest)
        parts.append(
            f'<g transform="translate(0 {TOP + number * (PANEL + GAP)})">{_panel(name, across, up, curves)}</g>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _panel(name: str, across: Axis, up: Axis, curves: Sequence[Curve]) -> str:
    right = WIDTH - RIGHT
    parts = [f'<text x="{LEFT}" y="-8">{escape(name)}</text>']
    for value, said in up.marks:
        y = f"{up.place(value):.1f}"
        parts.append(f'<line class="g" x1="{LEFT}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{said}</text>')
    for value, said in across.marks:
        x = f"{across.place(value):.1f}"
        parts.append(f'<line class="g" x1="{x}" x2="{x}" y1="0" y2="{PANEL}"/>')
        parts.append(f'<text x="{x}" y="{PANEL + 18}" text-anchor="middle">{said}</text>')
    for number, (label, points) in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{across.place(x):.1f} {up.place(y):.1f}" for x, y in points)
        parts.append(f'<path stroke="{colour}" d="M{line}"/>')
        parts.append(f'<text x="{right + 14}" y="{14 + 18 * number}" style="fill:{colour}">{escape(label)}</text>')
    return "".join(parts)


def _over_time(run: Run) -> list[Curve]:
    step_s = max(1.0, run.duration_s / BUCKETS)
    buckets = [
        (start + step_s / 2, took)
        for start in (number * step_s for number in range(ceil(run.duration_s / step_s)))
        if (took := run.took_ms(since_s=start, until_s=start + step_s))
    ]
    shown = {"max": 100.0, "p99": 99.0, "p90": 90.0, "p50": 50.0}
    return [(name, [(at, percentile(took, percent)) for at, took in buckets]) for name, percent in shown.items()]


def _by_percentile(run: Run) -> list[Curve]:
    """Each curve goes as far as one request of its kind lies beyond."""
    return [
        (kind, [(each, percentile(took, each)) for each in PERCENTILES if len(took) * (1 - each / 100) >= 1])
        for kind in KINDS
        if len(took := run.took_ms(kind=kind)) > 1
    ]


def _memory(run: Run) -> list[Curve]:
    services = dict.fromkeys(each.service for each in run.memory)
    return [(name, [(each.at_s, each.mb) for each in run.memory if each.service == name]) for name in services]


def _linear(low: float, high: float, marks: Sequence[tuple[float, str]]) -> Axis:
    return Axis(lambda value: LEFT + (value - low) / (high - low) * (WIDTH - RIGHT - LEFT), marks)


def _linear_up(highest: float) -> Axis:
    top = highest * 1.1
    return Axis(lambda value: PANEL * (1 - value / top), _round_marks(top, ""))


def _logarithmic(highest: float) -> Axis:
    """From 1 ms up to the next power of ten; what is faster lies on the floor."""
    decades = max(1, ceil(log10(max(highest, 1.0))))
    marks = [(10.0**decade, f"{10**decade:,}") for decade in range(decades + 1)]
    return Axis(lambda value: PANEL * (1 - log10(max(value, 1.0)) / decades), marks)


def _percentile_axis() -> Axis:
    """Each further nine takes the same room."""

    def nines(percent: float) -> float:
        return -log10(1 - percent / 100)

    first, last = nines(PERCENTILES[0]), nines(PERCENTILES[-1])
    whole = _linear(first, last, ())
    return Axis(lambda percent: whole.place(nines(percent)), [(percent, f"{percent:g} %") for percent in PERCENTILES])


def _round_marks(highest: float, unit: str) -> list[tuple[float, str]]:
    """Four to ten marks at 1, 2 or 5 times a power of ten."""
    rough = highest / 8
    power = 10.0 ** ceil(log10(rough) - 1)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [(number * step, f"{number * step:g} {unit}".strip()) for number in range(int(highest / step) + 1)]
