"""Percentiles, and the moments of an open loop."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks.serving.load.figures import Figures, Schedule, compute_percentile


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.9, 90.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert compute_percentile([float(number) for number in range(1, 101)], share) == expected


def test_of_few_values_the_longest_is_the_tail() -> None:
    assert compute_percentile([1.0, 2.0, 9.0], 0.99) == 9.0
    assert compute_percentile([4.0], 0.5) == 4.0
    assert math.isnan(compute_percentile([], 0.99))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_at_least_that_share_is_not_above_the_percentile(values: list[float], share: float) -> None:
    ordered = sorted(values)
    percentile = compute_percentile(ordered, share)
    assert percentile in ordered
    assert sum(value <= percentile for value in ordered) >= share * len(ordered)
    assert sum(value < percentile for value in ordered) <= share * len(ordered)


def test_requests_are_due_at_the_rate() -> None:
    schedule = Schedule(start=100.0, rate=4.0)
    assert [schedule.compute_moment(number) for number in range(3)] == [100.0, 100.25, 100.5]
    assert [schedule.count_due(now) for now in (99.9, 100.0, 100.24, 100.25, 101.0)] == [0, 1, 1, 2, 5]


@given(st.floats(0, 1e6), st.floats(0.01, 1e5), st.integers(0, 100_000))
def test_a_request_is_due_at_its_moment_and_not_before(start: float, rate: float, number: int) -> None:
    schedule = Schedule(start, rate)
    moment = schedule.compute_moment(number)
    assert schedule.count_due(moment) >= number + 1
    assert schedule.compute_moment(schedule.count_due(moment) - 1) <= moment
    assert schedule.compute_moment(schedule.count_due(moment)) > moment


def test_a_round_is_summarised_in_milliseconds() -> None:
    figures = Figures.summarise([0.004, 0.001, 0.002, 0.003], 2.0, errors=1, busy=0.25, fault="503")
    assert (figures.rate, figures.answers, figures.errors, figures.fault) == (2.0, 4, 1, "503")
    assert (figures.p50, figures.p99, figures.longest) == (2.0, 4.0, 4.0)


def test_figures_come_back_from_their_file(tmp_path: Path) -> None:
    import json

    figures = Figures.summarise([0.25, 0.5], 1.0, errors=0, busy=0.5)
    file = tmp_path / "figures.json"
    file.write_text(json.dumps(figures.to_json()))
    assert Figures.read(file) == figures
