"""What `make bench` writes, and the axes of the load tool's plot."""

from datetime import UTC, datetime

import pytest

from bench.__main__ import BEGIN, END, Measured, block, written
from bench.load.axes import across_percentiles, across_time, up_by_tens
from bench.rounds import Failed, Row, line

ROW = Row("B0", "ours", "theirs", "/s", [4.0, 6.0], [2.0, 2.0], [2.0, 3.0], 2.0)


def test_a_row_holds_its_median_against_the_aim() -> None:
    assert line(ROW) == "| B0 | ours | 5 /s | theirs | 2 | 2.5 (2 to 3) | ≥ 2 | met |  |"


def test_a_comparison_that_failed_has_one_line_that_says_why() -> None:
    assert line(Failed("memory", "OSError: a | b\nc")).endswith("| **not measured** | OSError: a \\| b c |")


def test_the_table_replaces_the_one_before_and_nothing_else() -> None:
    parts = [Measured("first", [ROW], 1.0), Measured("second", [Failed("second", "why")], 2.0)]
    said = block(parts, {"RabbitMQ": "4"}, command="make bench", now=datetime(2026, 1, 2, tzinfo=UTC))

    found = written(f"before\n{BEGIN}\nold\n{END}\nafter\n", said)

    assert found.startswith(f"before\n{BEGIN}\n`make bench`, begun 2026-01-02 00:00 UTC")
    assert "old" not in found
    assert "`first` 1 s, `second` 2 s" in found
    assert found.endswith(f"{END}\nafter\n")
    assert not all(part.is_whole for part in parts)


def test_a_document_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for the table"):
        written("a document", "a table")


def test_latencies_rise_by_tens_up_to_the_next_round_value() -> None:
    axis = up_by_tens(412.0, height=200)

    assert [mark.says for mark in axis.marks if mark.says] == ["1", "2", "5", "10", "20", "50", "100", "200", "500"]
    assert axis.place(500) == pytest.approx(0)
    assert axis.place(0.2) == pytest.approx(200), "what is faster than a millisecond lies on the floor"


def test_each_further_nine_takes_the_same_room() -> None:
    place = across_percentiles((90.0, 99.0, 99.9), left=0, right=100).place

    assert place(99.0) == pytest.approx(50)


@pytest.mark.parametrize("duration_s", [0.5, 30, 60, 300, 3_600])
def test_time_has_a_handful_of_round_marks(duration_s: float) -> None:
    marks = across_time(duration_s, left=0, right=100).marks

    assert 4 <= len(marks) <= 11
    assert marks[0].says == "0"
