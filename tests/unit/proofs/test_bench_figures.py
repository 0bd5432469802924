"""The arithmetic behind the figures of ``make bench``."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from proofs.bench.figures import (
    Figure,
    greatest_in_window,
    longest_pause_seconds,
    mebibytes,
    milliseconds,
    per_minute,
    percentile,
    shortest_span_seconds,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def instants(*seconds: float) -> list[datetime]:
    """Moments these many seconds after noon."""
    return [NOON + timedelta(seconds=second) for second in seconds]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([7.0], 50, 7.0),
        ([7.0], 99, 7.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 75, 3.0),
        ([1.0, 2.0, 3.0, 4.0], 76, 4.0),
        ([float(value) for value in range(1, 101)], 95, 95.0),
        ([float(value) for value in range(1, 101)], 99, 99.0),
        ([float(value) for value in range(1, 101)], 100, 100.0),
        ([1.0, 2.0], 0, 1.0),
    ],
)
def test_a_percentile_is_a_value_that_occurred(values: list[float], percent: float, expected: float) -> None:
    assert percentile(values, percent) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@pytest.mark.parametrize(
    ("name", "arrivals", "expected"),
    [
        ("none", [], 0),
        ("one", [5.0], 1),
        ("a window's length apart do not share a window", [0.0, 60.0], 1),
        ("a moment less apart do", [0.0, 59.999], 2),
        ("the fullest window may straddle full minutes", [0.0, 50.0, 55.0, 61.0, 65.0, 130.0], 4),
        ("order does not matter", [65.0, 0.0, 61.0, 55.0, 50.0], 4),
        ("all at one instant", [7.0] * 5, 5),
    ],
)
def test_the_fullest_window_is_found_wherever_it_starts(name: str, arrivals: list[float], expected: int) -> None:
    assert greatest_in_window(arrivals, 60.0) == expected, name


def test_the_shortest_span_tells_how_near_a_limit_was() -> None:
    arrivals = [30.0, 0.0, 61.0, 75.5]
    assert shortest_span_seconds(arrivals, 2) == 14.5
    assert shortest_span_seconds(arrivals, 3) == 45.5
    assert shortest_span_seconds(arrivals, 5) == math.inf


@pytest.mark.parametrize(
    ("name", "moments", "expected"),
    [
        ("nothing happened", (), 0.0),
        ("one has no rate", (3.0,), 0.0),
        ("two a minute apart", (0.0, 60.0), 1.0),
        ("one every 0.2 s", tuple(number * 0.2 for number in range(901)), 300.0),
        ("order does not matter", (60.0, 0.0, 30.0), 2.0),
    ],
)
def test_a_rate_counts_the_steps_between_first_and_last(name: str, moments: tuple[float, ...], expected: float) -> None:
    assert per_minute(instants(*moments)) == pytest.approx(expected), name


@pytest.mark.parametrize(
    ("moments", "expected"), [((), 0.0), ((1.0,), 0.0), ((1.0, 2.0, 5.0, 6.0), 3.0), ((6.0, 1.0, 5.0, 2.0), 3.0)]
)
def test_the_longest_pause_lies_between_neighbours(moments: tuple[float, ...], expected: float) -> None:
    assert longest_pause_seconds(instants(*moments)) == expected


@pytest.mark.parametrize(("met", "verdict"), [(True, "met"), (False, "MISSED"), (None, "")])
def test_a_missed_aim_stands_out_in_the_table(met: bool | None, verdict: str) -> None:
    assert Figure("f", "1", "2", "<= 1", met).verdict == verdict


def test_sizes_and_times_are_written_for_people() -> None:
    assert (mebibytes(1.5 * 2**20), milliseconds(0.01234)) == ("2 MiB", "12.3 ms")
