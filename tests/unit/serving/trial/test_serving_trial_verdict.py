"""The verdict on a challenger: its failures, its times, and the mix of its predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp

from evergreen.model.predictions import Predictions
from evergreen.serving.trial.verdict import (
    KEPT_ROWS,
    TrialTally,
    compute_excess,
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


def build_numbers(values: Sequence[float] | NDArray[np.float64]) -> Predictions:
    return Predictions(np.array(values, dtype=np.float64), None)


def build_mix(rows: int, share: float, are_numbers: bool) -> Predictions:
    """So many rows, first those of one answer, and then that share of them of another."""
    other = round(rows * share)
    if are_numbers:
        return build_numbers(np.repeat([0.0, 1.0], [rows - other, other]))
    return build_classes(no=rows - other, yes=other)


def build_pair(against: str, limits: TrialLimits) -> tuple[TrialTally, Callable[[Predictions, float], None]]:
    """The tally of a version, and what counts answers of the version that it is compared with."""
    tally = TrialTally(limits)
    if against == "champion":
        return tally, tally.observe_champion
    rival = TrialTally(limits)
    tally.compare_with(rival)
    return tally, rival.observe_answer


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


@settings(max_examples=40, deadline=None)
@given(
    history=st.sampled_from([1, 10, 300, 20_000, 1_000_000]),
    share=st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5]),
    rows=st.integers(1, 50),
)
def test_a_version_that_breaks_is_judged_as_soon_after_any_history(
    history: int, share: float, rows: int
) -> None:
    tally = TrialTally(TrialLimits(error_share=share))
    tally.observe_answer(build_numbers(np.zeros(history)), 0.001)
    for times in range(1, 31):
        tally.observe_failure(rows, "a fault")
        if reason := tally.judge():
            assert reason.startswith("it failed on ")
            assert times * rows >= 3
            return
    raise AssertionError("thirty failures in a row end no trial")


def test_a_version_that_fails_on_more_than_its_share_lately_is_judged() -> None:
    """A fifth of the rows, where a hundredth may fail, after a million good ones."""
    tally = TrialTally(TrialLimits(error_share=0.01))
    tally.observe_answer(build_numbers(np.zeros(1_000_000)), 0.001)
    reasons = []
    for _ in range(20):
        tally.observe_answer(build_numbers(np.zeros(4)), 0.001)
        tally.observe_failure(1, "a fault")
        reasons.append(tally.judge())
    assert reasons[:8] == [""] * 8
    assert reasons[8] == "it failed on 9 of its last 41 rows, the last time by a fault"


@pytest.mark.parametrize("seed", range(2))
def test_a_version_that_fails_as_often_as_it_may_goes_on(seed: int) -> None:
    """For as long as a trial takes, however chance places the failures."""
    tally = TrialTally(TrialLimits(error_share=0.01))
    tally.observe_answer(build_numbers(np.zeros(20_000)), 0.001)
    gaps = np.random.default_rng(seed).geometric(0.008, 1_200)
    for gap in gaps:
        tally.observe_answer(build_numbers(np.zeros(gap)), 0.001)
        tally.observe_failure(1, "a fault")
        assert tally.judge() == ""


def test_one_failed_call_of_many_rows_after_many_good_ones_is_none_too_many() -> None:
    tally = TrialTally(TrialLimits(error_share=0.01))
    tally.observe_answer(build_numbers(np.zeros(1_000_000)), 0.001)
    for _ in range(2):
        tally.observe_failure(1_000, "a fault")
        assert tally.judge() == ""
    tally.observe_failure(1_000, "a fault")
    assert tally.judge()


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, rows=st.sampled_from([1, 30, 1_000]), are_numbers=st.booleans())
def test_the_mix_is_that_of_the_newest_rows(
    steps: list[tuple[str, str]], rows: int, are_numbers: bool
) -> None:
    """The champion and the version answer so many rows in each step."""
    limits = TrialLimits(mix_difference=0.25, min_rows=20)

    def build(name: str) -> Predictions:
        return (
            build_numbers(np.full(rows, float(ord(name)))) if are_numbers else build_classes(**{name: rows})
        )

    tally = TrialTally(limits)
    for other, own in steps:
        tally.observe_champion(build(other), 0.001)
        tally.observe_answer(build(own), 0.001)
    others = [ord(other) for other, _ in steps for _ in range(rows)][-KEPT_ROWS:]
    owns = [ord(own) for _, own in steps for _ in range(rows)][-KEPT_ROWS:]
    if are_numbers:
        distance = compute_ks_distance(others, owns)
    else:
        distance = compute_total_variation(Counter(map(str, others)), Counter(map(str, owns)))
    if len(owns) >= limits.min_rows and distance > limits.mix_difference:
        assert f" is {distance:.2f} and " in tally.judge()
    else:
        assert tally.judge() == ""


@pytest.mark.parametrize("are_numbers", [False, True])
@pytest.mark.parametrize(("own", "others"), [(10, 490), (490, 10)])
@pytest.mark.parametrize("against", ["champion", "rival"])
def test_answers_that_follow_the_time_of_day_are_no_difference(
    are_numbers: bool, own: int, others: int, against: str
) -> None:
    """Both answer alike, so many rows of a version and of the other one in each step, for three days."""
    tally, observe_other = build_pair(against, TrialLimits(mix_difference=0.15))
    for step in range(300):
        share = 0.8 if step % 100 < 50 else 0.2
        observe_other(build_mix(others, share, are_numbers), 0.001)
        tally.observe_answer(build_mix(own, share, are_numbers), 0.001)
        if step % 5 == 0:
            assert tally.judge() == "", f"in step {step}"


@pytest.mark.parametrize("are_numbers", [False, True])
@pytest.mark.parametrize("history", [0, 10_000])
@pytest.mark.parametrize(("own", "others"), [(10, 490), (250, 250)])
@pytest.mark.parametrize("against", ["champion", "rival"])
def test_a_version_that_answers_otherwise_is_judged_as_soon(
    are_numbers: bool, history: int, own: int, others: int, against: str
) -> None:
    """After so many rows on which both answer alike: about when the version's newest rows alone show it."""
    limits = TrialLimits(mix_difference=0.25)
    tally, observe_other = build_pair(against, limits)
    for _ in range(history // own):
        observe_other(build_mix(others, 0.5, are_numbers), 0.001)
        tally.observe_answer(build_mix(own, 0.5, are_numbers), 0.001)
    assert tally.judge() == ""
    rows = 0
    while not tally.judge():
        observe_other(build_mix(others, 0.5, are_numbers), 0.001)
        tally.observe_answer(build_mix(own, 1.0, are_numbers), 0.001)
        rows += own
        assert rows <= KEPT_ROWS
    # Of so many of its rows, half answer otherwise: a quarter of a full window, or of the first rows.
    soonest = KEPT_ROWS // 2 if history else limits.min_rows
    assert soonest - 200 <= rows <= soonest + own + 200


def test_a_burst_of_one_version_moves_no_window_of_the_other() -> None:
    """One request of very many rows is no reason to compare hours with minutes afterwards."""
    tally = TrialTally(TrialLimits(mix_difference=0.2))
    for step in range(600):
        share = 0.8 if step % 100 < 50 else 0.2
        if step == 300:
            tally.observe_answer(build_mix(100_000, 0.5, False), 0.001)
        tally.observe_champion(build_mix(490, share, False), 0.001)
        tally.observe_answer(build_mix(10, share, False), 0.001)
        if step % 5 == 0:
            assert tally.judge() == "", f"in step {step}"
    assert (tally.rows, tally.champion_rows) == (106_000, 294_000)


def test_as_many_rows_are_compared_as_a_trial_asks_for() -> None:
    tally = TrialTally(TrialLimits(mix_difference=0.25, min_rows=20_000))
    for yes in (0, 0, 0, 3_000, 4_000):
        assert tally.judge() == ""
        tally.observe_champion(build_classes(no=4_000), 0.001)
        tally.observe_answer(build_classes(no=4_000 - yes, yes=yes), 0.001)
    assert "is 0.35 and" in tally.judge()


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.just(0.0) | st.floats(1e-6, 1.0))
def test_the_excess_of_failures_bounds_their_probability(failed: int, answered: int, share: float) -> None:
    asked = failed + answered
    excess = compute_excess(failed, asked, share)
    assert excess >= 0.0
    if failed <= share * asked:
        assert excess == 0.0
    elif share > 0.0:
        assert binom.logsf(failed - 1, asked, share) <= -excess + 1e-6 * (1.0 + excess)


def test_numbers_are_compared_by_their_distributions() -> None:
    tally = TrialTally(TrialLimits(mix_difference=0.25, min_rows=100))
    tally.observe_champion(build_numbers([float(n) for n in range(100)]), 0.001)
    tally.observe_answer(build_numbers([n + 10.0 for n in range(100)]), 0.001)
    assert tally.judge() == ""
    tally.observe_champion(build_numbers([float(n) for n in range(100)]), 0.001)
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
