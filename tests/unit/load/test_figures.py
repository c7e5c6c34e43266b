"""What the load tool says of its samples."""

import math
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from bench.load.figures import Memory, Run, Sample, percentile, table
from bench.load.plot import svg


def run_of(took_ms: Sequence[float], *, duration_s: float = 10.0) -> Run:
    run = Run(rate=len(took_ms) / duration_s, duration_s=duration_s)
    every_s = duration_s / len(took_ms)
    run.samples = [Sample("list", number * every_s, took) for number, took in enumerate(took_ms)]
    return run


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50.0), (90, 90.0), (99, 99.0), (99.9, 100.0), (100, 100.0), (0, 1.0)]
)
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], percent) == expected


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 99))


def test_one_slow_request_in_a_hundred_does_not_move_the_p99_and_two_do() -> None:
    assert run_of([1.0] * 99 + [500.0]).p99_ms() == 1.0
    assert run_of([1.0] * 98 + [500.0] * 2).p99_ms() == 500.0


def test_a_drift_shows_in_the_parts_of_the_run() -> None:
    run = run_of([10.0] * 80 + [50.0] * 20)

    assert run.p99_by_part() == [10.0, 10.0, 10.0, 10.0, 50.0]


def test_the_table_names_each_failure_and_counts_it() -> None:
    run = run_of([1.0] * 10)
    run.samples += [Sample("post", 3.0, 30_000.0, "status 503")] * 2

    shown = table(run)

    assert "error: 2 x post: status 503" in shown
    assert run.errors == 2


def test_the_table_shows_memory_from_the_start_to_the_end() -> None:
    run = run_of([1.0] * 10)
    run.memory = [Memory("gateway", float(second), 80.0 + second) for second in range(11)]

    assert "memory of gateway, MB: 80, 82, 84, 86, 88, 90" in table(run)


def test_the_plot_is_a_picture_with_a_curve_for_each_figure() -> None:
    run = run_of([5.0] * 100 + [120.0] * 3)
    run.memory = [Memory("gateway", 0.0, 80.0), Memory("gateway", 10.0, 81.0)]

    picture = ElementTree.fromstring(svg(run, title="10 requests/s & more"))  # noqa: S314 - our own picture

    curves = picture.findall(".//{http://www.w3.org/2000/svg}path")
    assert len(curves) == len(("max", "p99", "p90", "p50", "list", "gateway"))
    assert not any("nan" in curve.attrib["d"] for curve in curves)


def test_a_run_without_memory_figures_has_a_picture_too() -> None:
    assert "memory" not in svg(run_of([5.0]), title="one request")
