"""From which numbers on a value is an outlier, and how it is told."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from evergreen.model.reference_profile import (
    PREDICTION,
    FeatureProfile,
    build_reference_profile,
    parse_profiles,
    serialize_profiles,
)
from evergreen.monitoring.drift.outliers import (
    Outliers,
    build_outlier_metrics,
    choose_outlier_limits,
    describe_outliers,
)


def profile(bins=(), value_range=None, kind="numeric"):
    return FeatureProfile("income", kind, bins, (0,) * (len(bins) + 2), range=value_range)


@pytest.mark.parametrize(
    ("bins", "value_range", "limits"),
    [
        ((20.0, 30.0), (0.0, 100.0), (-1_000.0, 1_100.0)),
        ((20.0, 30.0), None, (20.0 - 10_000, 30.0 + 10_000)),
        ((), (5.0, 5.0), (5.0 - 50, 5.0 + 50)),
        ((), (0.0, 0.0), (-10.0, 10.0)),
        # The bins of a constant.
        ((math.nextafter(5.0, 0.0), 5.0), None, (5.0 - 5_000, 5.0 + 5_000)),
        ((-sys.float_info.min, 0.0), None, (-1_000.0, 1_000.0)),
        ((math.nextafter(5.0, 0.0), 5.0), (5.0, 5.0), (5.0 - 50, 5.0 + 50)),
        ((), (-1.7e308, 1.7e308), (-sys.float_info.max, sys.float_info.max)),
    ],
)
def test_limits_lie_far_beyond_the_training_data(bins, value_range, limits):
    chosen = choose_outlier_limits(profile(bins, value_range))
    assert chosen is not None
    assert (chosen.low, chosen.high) == pytest.approx(limits, rel=1e-12)


def test_without_a_range_nothing_is_an_outlier():
    assert choose_outlier_limits(profile(("a", "b"), kind="category")) is None
    assert choose_outlier_limits(profile((1.0,))) is None
    assert choose_outlier_limits(profile()) is None


def test_a_profile_keeps_the_range_of_its_numbers(toy_use_case, toy_columns):
    columns, answers = toy_columns(600)
    columns["age"] = np.where(np.arange(600) == 0, np.inf, columns["age"])
    profiles = build_reference_profile(toy_use_case, columns, answers)
    ranges = {each.feature: each.range for each in profiles}
    spend = columns["spend"][np.isfinite(columns["spend"])]
    assert ranges["spend"] == (spend.min(), spend.max())
    assert np.isfinite(ranges["age"]).all()
    assert (ranges["segment"], ranges[PREDICTION]) == (None, None)
    assert parse_profiles(serialize_profiles(profiles)) == profiles


def test_outliers_are_a_warning_and_never_drift():
    limits = choose_outlier_limits(profile(value_range=(0.0, 100.0)))
    assert limits is not None
    outliers = [Outliers("income", 1, 2_000, 1e300, limits), Outliers(PREDICTION, 3, 2_000, -1e9, limits)]
    beyond = "beyond 10 times the reference's range (0 to 100), the farthest is"
    assert describe_outliers(outliers) == (
        f"income: 1 of 2,000 rows looked at lies {beyond} 1e+300",
        f"the predictions: 3 of 2,000 rows looked at lie {beyond} -1e+09",
    )
    assert [(each.feature, each.value, each.severity) for each in build_outlier_metrics(outliers)] == [
        ("income", 1, "warning"),
        (PREDICTION, 3, "warning"),
    ]
