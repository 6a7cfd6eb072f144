"""The classifier that tells two windows apart, and the hours that a sample looks at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats

from evergreen.monitoring.drift.multivariate import compute_auc, compute_ranks, measure_multivariate_drift
from evergreen.monitoring.drift.sample import choose_hours, choose_stretches
from evergreen.usecase import DriftPolicy

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def test_the_area_is_that_of_mann_and_whitney_and_its_deviation_of_delong():
    rng = np.random.default_rng(3)
    scores = np.round(np.concatenate([rng.normal(0, 1, 300), rng.normal(0.7, 1, 200)]), 1)
    positive = np.repeat([False, True], [300, 200])
    area, deviation = compute_auc(scores, positive)
    expected = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic / (300 * 200)
    assert area == pytest.approx(expected)
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (
        scores[positive][:, None] == scores[~positive]
    )
    variance = wins.mean(axis=1).var(ddof=1) / 200 + wins.mean(axis=0).var(ddof=1) / 300
    assert deviation == pytest.approx(np.sqrt(variance))


def test_ranks_are_those_of_scipy_ties_too():
    rng = np.random.default_rng(5)
    for values in (rng.normal(size=50), np.round(rng.normal(size=200), 1), np.zeros(3), np.array([2.5])):
        assert compute_ranks(values).tolist() == stats.rankdata(values).tolist()


def test_too_few_rows_are_unknown(toy_use_case, toy_columns):
    use_case = replace(toy_use_case, drift=DriftPolicy(min_rows=100, sample_rows=400))
    before, now = toy_columns(100, seed=1)[0], toy_columns(99, seed=2)[0]
    found = measure_multivariate_drift(use_case, before, now)
    assert (found.severity, found.auc, found.low) == ("unknown", None, None)
    assert found.reason == (
        "not measured: it takes 100 predictions of the window and as many earlier ones of the model, and "
        "there are 99 and 100"
    )
    more = toy_columns(100, seed=2)[0]
    assert measure_multivariate_drift(use_case, before, more).severity == "none"


@pytest.mark.parametrize("earlier_rows", [4, 15, 36])
def test_a_handful_of_rows_is_unknown_whatever_the_policy_asks_for(toy_use_case, toy_columns, earlier_rows):
    """Half of 36 rows and 4 others may be of one kind alone, of which no classifier can be fitted."""
    use_case = replace(toy_use_case, drift=DriftPolicy(min_rows=1))
    before, now = toy_columns(earlier_rows, seed=1)[0], toy_columns(4, seed=2)[0]
    found = measure_multivariate_drift(use_case, before, now)
    assert (found.severity, found.auc) == ("unknown", None)
    assert found.reason.startswith("not measured: it takes 30 predictions of the window")


def test_inputs_that_never_vary_are_unknown(toy_use_case, toy_columns):
    columns = {
        name: np.full(600, None if values.dtype == object else np.nan, dtype=values.dtype)
        for name, values in toy_columns(600)[0].items()
    }
    found = measure_multivariate_drift(toy_use_case, columns, columns)
    assert found.reason == "not measured: every input has one and the same value in all rows"
    assert found.severity == "unknown"


def test_limits_and_later_checks(toy_use_case, toy_columns):
    before, now = toy_columns(300, seed=1)[0], toy_columns(300, seed=2, shift=0.4)[0]

    def measure(threshold, check_number=1):
        use_case = replace(toy_use_case, drift=DriftPolicy(min_rows=100, auc_threshold=threshold))
        return measure_multivariate_drift(use_case, before, now, check_number=check_number)

    found = measure(0.65)
    assert 0.55 < found.auc < 0.73
    assert 0.5 < found.low < found.auc < found.high
    assert measure(found.auc - 0.001).severity == "drift"
    assert measure(found.auc + 0.001).severity == "warning"
    assert measure(0.5 + 1.99 * (found.auc - 0.5)).severity == "warning"
    assert measure(0.5 + 2.01 * (found.auc - 0.5)).severity == "none"
    assert measure(found.auc - 0.001, check_number=10**30).severity == "warning"


@pytest.mark.parametrize(
    ("rows", "most", "places"),
    [
        ([10, 10, 10, 10], 40, [0, 1, 2, 3]),
        ([10, 10, 10, 10], 39, [0, 2, 3]),
        ([10, 10, 10, 10], 20, [1, 3]),
        ([10, 10, 10, 10], 5, [2]),
        ([5, 100, 5, 100, 5, 5], 120, [1, 4]),
        ([], 5, []),
    ],
)
def test_hours_are_spread_and_have_no_more_rows_than_wanted_or_are_one(rows, most, places):
    hours = {NOON + number * timedelta(hours=1): count for number, count in enumerate(rows)}
    chosen = choose_hours(hours, most)
    assert [list(hours).index(hour) for hour in chosen] == places


def test_of_hours_with_too_many_rows_the_same_share_of_each_twelfth_is_looked_at():
    hour, minute = timedelta(hours=1), timedelta(minutes=1)
    hours = {NOON: 4_000, NOON + hour: 6_000}
    # An hour is chosen, and a half of its rows.
    stretches = choose_stretches(hours, 3_000, NOON, NOON + 2 * hour)
    assert len(stretches) == 12
    assert stretches[0] == (NOON + hour, NOON + hour + 2.5 * minute)
    assert stretches[-1] == (NOON + hour + 55 * minute, NOON + hour + 57.5 * minute)
    # Of the last hour only the part in the window has rows.
    stretches = choose_stretches({NOON: 6_000}, 3_000, NOON + 30 * minute, NOON + 42 * minute)
    assert stretches[0] == (NOON + 30 * minute, NOON + 30.5 * minute)
    assert stretches[-1] == (NOON + 41 * minute, NOON + 41.5 * minute)
    assert choose_stretches({NOON: 3_000}, 3_000, NOON, NOON + hour) == [(NOON, NOON + hour)]
