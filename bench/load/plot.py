"""A run as an SVG of three panels: latency over time, latency by percentile, and memory over time; readable on white, without scripts."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import Final

from bench.load.axes import Axis, across_percentiles, across_time, up_by_tens, up_from_nothing
from bench.load.figures import KINDS, Run, percentile

WIDTH: Final = 960
PANEL: Final = 240
LEFT: Final = 76
RIGHT: Final = WIDTH - 156
TOP: Final = 100
GAP: Final = 96
# Told apart by those who do not see all colours too (Okabe and Ito).
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#444444")
PERCENTILES: Final = (50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99)
BUCKETS: Final = 60
STYLE: Final = (
    "text{font:13px system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#222}"
    ".t{font-size:19px;font-weight:600}.n{font-size:15px;font-weight:600}.a{fill:#555}"
    ".g{stroke:#d4d4d4}.f{stroke:#eee}.b{stroke:#888}"
    "path{fill:none;stroke-width:1.8;stroke-linejoin:round}"
)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves over one axis; `legend` says what their names are."""

    title: str
    across_says: str
    up_says: str
    legend: str
    across: Axis
    up: Axis
    curves: Sequence[Curve]


def svg(run: Run, *, title: str) -> str:
    """The whole picture. Latencies are on a logarithmic axis."""
    panels = [panel for panel in (_over_time(run), _by_percentile(run), _memory(run)) if panel.curves]
    height = TOP + len(panels) * (PANEL + GAP) - GAP // 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="t" x="{LEFT}" y="34">{escape(title)}</text>',
        f'<text class="a" x="{LEFT}" y="56">{escape(_summary(run))}</text>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate(0 {TOP + number * (PANEL + GAP)})">{_drawn(panel)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _summary(run: Run) -> str:
    took = run.took_ms()
    shown = ", ".join(f"p{percent:g} {percentile(took, percent):.1f}" for percent in (50, 90, 99, 99.9))
    return f"{len(took):,} requests, {run.errors:,} errors; {shown} ms from the moment at which each was due"


def _over_time(run: Run) -> Panel:
    step_s = max(1.0, run.duration_s / BUCKETS)
    buckets = [
        (start + step_s / 2, took)
        for start in (number * step_s for number in range(ceil(run.duration_s / step_s)))
        if (took := run.took_ms(since_s=start, until_s=start + step_s))
    ]
    shown = {"slowest": 100.0, "p99": 99.0, "p90": 90.0, "p50": 50.0}
    curves = [Curve(name, [(at, percentile(took, percent)) for at, took in buckets]) for name, percent in shown.items()]
    return Panel(
        "Latency over time",
        "time into the run",
        "ms",
        f"in each {step_s:g} s",
        across_time(run.duration_s, left=LEFT, right=RIGHT),
        _up(curves),
        curves,
    )


def _by_percentile(run: Run) -> Panel:
    """Each curve goes as far as one request of its kind lies beyond."""
    curves = [
        Curve(kind, [(each, percentile(took, each)) for each in PERCENTILES if len(took) * (1 - each / 100) >= 1])
        for kind in KINDS
        if len(took := run.took_ms(kind=kind)) > 1
    ]
    curves.sort(key=lambda curve: -curve.points[0][1])
    across = across_percentiles(PERCENTILES, left=LEFT, right=RIGHT)
    return Panel(
        "Latency by percentile",
        "so many requests are as fast or faster",
        "ms",
        "kind of request",
        across,
        _up(curves),
        curves,
    )


def _memory(run: Run) -> Panel:
    services = dict.fromkeys(each.service for each in run.memory)
    curves = [Curve(name, [(each.at_s, each.mb) for each in run.memory if each.service == name]) for name in services]
    curves.sort(key=lambda curve: -statistics.fmean(mb for _, mb in curve.points))
    highest = max((mb for curve in curves for _, mb in curve.points), default=1.0)
    across = across_time(run.duration_s, left=LEFT, right=RIGHT)
    up = up_from_nothing(highest, height=PANEL)
    return Panel("Resident memory", "time into the run", "MB", "service", across, up, curves)


def _up(curves: Sequence[Curve]) -> Axis:
    return up_by_tens(max((value for curve in curves for _, value in curve.points), default=1.0), height=PANEL)


def _drawn(panel: Panel) -> str:
    middle = (LEFT + RIGHT) / 2
    return "".join(
        [
            f'<text class="n" x="{LEFT}" y="-12">{escape(panel.title)}</text>',
            f'<text class="a" x="{LEFT - 10}" y="-12" text-anchor="end">{escape(panel.up_says)}</text>',
            *_grid(panel),
            f'<text class="a" x="{middle}" y="{PANEL + 42}" text-anchor="middle">{escape(panel.across_says)}</text>',
            f'<text class="a" x="{RIGHT + 16}" y="4">{escape(panel.legend)}</text>',
            *(_curve(number, curve, panel) for number, curve in enumerate(panel.curves)),
        ]
    )


def _grid(panel: Panel) -> list[str]:
    parts = []
    for mark in panel.up.marks:
        y = f"{panel.up.place(mark.value):.1f}"
        parts.append(f'<line class="{"g" if mark.says else "f"}" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 10}" y="{y}" dy="4" text-anchor="end">{mark.says}</text>' if mark.says else "")
    for mark in panel.across.marks:
        x = f"{panel.across.place(mark.value):.1f}"
        parts.append(f'<line class="g" x1="{x}" x2="{x}" y1="0" y2="{PANEL}"/>')
        parts.append(f'<text x="{x}" y="{PANEL + 20}" text-anchor="middle">{mark.says}</text>')
    parts.append(f'<line class="b" x1="{LEFT}" x2="{RIGHT}" y1="{PANEL}" y2="{PANEL}"/>')
    return parts


def _curve(number: int, curve: Curve, panel: Panel) -> str:
    """The curve, and its place in the legend."""
    colour, y = COLOURS[number % len(COLOURS)], 26 + 22 * number
    line = " ".join(f"{panel.across.place(at):.1f} {panel.up.place(value):.1f}" for at, value in curve.points)
    return (
        f'<path stroke="{colour}" d="M{line}"/>'
        f'<line x1="{RIGHT + 16}" x2="{RIGHT + 40}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        f'<text x="{RIGHT + 48}" y="{y}" dy="4">{escape(curve.name)}</text>'
    )
