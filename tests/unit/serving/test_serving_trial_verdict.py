"""The verdict on a challenger: its failures, its times, and the mix of its predictions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from evergreen.model.predictions import Predictions
from evergreen.serving.trial.verdict import (
    TrialTally,
    compute_ks_distance,
    compute_p95,
    compute_total_variation,
    find_failure,
)
from evergreen.usecase import TrialLimits

SHARES = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 100), min_size=1)
NUMBERS = st.lists(st.floats(-100, 100), min_size=1, max_size=50)


def build_classes(**counts: int) -> Predictions:
    """Predictions with so many rows of each class."""
    names = [name for name, count in counts.items() for _ in range(count)]
    shares = np.full((len(names), len(counts)), 1 / len(counts))
    return Predictions(np.array(names, dtype=object), shares, tuple(counts))


def build_numbers(values: list[float]) -> Predictions:
    return Predictions(np.array(values, dtype=np.float64), None)


def test_failures_are_too_many_beyond_their_share_and_never_below_three() -> None:
    tally = TrialTally(TrialLimits(error_share=0.1))
    tally.observe_failure(2, "a fault")
    assert tally.judge() == ""
    tally.observe_answer(build_classes(no=27, yes=1), 0.001)
    tally.observe_failure(1, "a fault")
    assert tally.judge() == ""  # 3 of 31
    tally.observe_failure(1, "another")
    assert tally.judge() == "it failed on 4 of 32 rows, the last time by another"


@pytest.mark.parametrize(
    ("own", "champions", "batches", "is_broken"),
    [
        (0.100, 0.010, 10, True),
        (0.100, 0.010, 9, False),  # too few for a percentile
        (0.100, 0.020, 10, False),  # five times is allowed
        (0.020, 0.001, 10, False),  # 20 ms are allowed
        (0.021, 0.001, 10, True),
    ],
)
def test_a_challenger_is_slow_beyond_both_limits(
    own: float, champions: float, batches: int, is_broken: bool
) -> None:
    tally = TrialTally(TrialLimits(latency_ratio=5.0, latency_ms=20.0))
    tally.observe_champion(build_classes(no=1), champions)
    for _ in range(batches):
        tally.observe_answer(build_classes(no=1), own)
    assert bool(tally.judge()) == is_broken
    assert tally.is_slow(own) == (own > 0.020)


def test_one_slow_batch_is_not_a_slow_challenger() -> None:
    tally = TrialTally(TrialLimits())
    tally.observe_champion(build_classes(no=1), 0.001)
    for seconds in (5.0, *[0.001] * 19):
        tally.observe_answer(build_classes(no=1), seconds)
    assert tally.judge() == ""


def test_a_mix_is_judged_from_the_least_rows_of_both_on() -> None:
    tally = TrialTally(TrialLimits(mix_difference=0.25, min_rows=100))
    tally.observe_champion(build_classes(no=60, yes=40), 0.001)
    tally.observe_answer(build_classes(no=99), 0.001)
    assert tally.judge() == ""
    tally.observe_answer(build_classes(no=1), 0.001)
    assert tally.judge() == "the distance of its predictions from the champion's is 0.40 and may be 0.25"
    within = TrialTally(TrialLimits(mix_difference=0.40, min_rows=100))
    within.observe_champion(build_classes(no=60, yes=40), 0.001)
    within.observe_answer(build_classes(no=100), 0.001)
    assert within.judge() == ""


def test_numbers_are_compared_by_their_distributions() -> None:
    tally = TrialTally(TrialLimits(mix_difference=0.25, min_rows=100))
    tally.observe_champion(build_numbers([float(n) for n in range(100)]), 0.001)
    tally.observe_answer(build_numbers([n + 10.0 for n in range(100)]), 0.001)
    assert tally.judge() == ""
    tally.observe_answer(build_numbers([500.0] * 100), 0.001)
    assert "is 0.5" in tally.judge()


@given(SHARES, SHARES)
def test_total_variation_is_a_distance(one: dict[str, int], other: dict[str, int]) -> None:
    first, second = Counter(one), Counter(other)
    distance = compute_total_variation(first, second)
    assert -1e-12 <= distance <= 1.0 + 1e-12
    assert distance == pytest.approx(compute_total_variation(second, first))
    assert compute_total_variation(first, first) == 0.0
    if not set(one) & set(other):
        assert distance == pytest.approx(1.0)


@given(NUMBERS, NUMBERS)
def test_the_distance_of_numbers_is_scipys(one: list[float], other: list[float]) -> None:
    assert compute_ks_distance(one, other) == pytest.approx(ks_2samp(one, other, method="exact").statistic)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_the_percentile_is_a_value_with_a_twentieth_at_or_above(seconds: list[float]) -> None:
    value = compute_p95(seconds)
    assert value in seconds
    assert sum(each >= value for each in seconds) >= 0.05 * len(seconds)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_no_answer(value: float) -> None:
    assert find_failure(build_numbers([1.0, value]))
    assert not find_failure(build_numbers([1.0, 2.0]))
    classes = build_classes(no=2)
    assert not find_failure(classes)
    assert classes.probabilities is not None
    classes.probabilities[1, 0] = value
    assert find_failure(classes)
