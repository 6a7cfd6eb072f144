"""The hour in which a drift began, from counts by hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.drift.onset import find_drift_onset
from evergreen.store.predictions.counts import HourlyCounts

NOON, HOUR = datetime(2026, 7, 1, 12, tzinfo=UTC), timedelta(hours=1)
REFERENCE = {
    "": {
        name: FeatureProfile(name, "category", ("a", "b"), (5_000, 5_000, 0, 0)) for name in ("moved", "same")
    }
}


def simulate(onset, hours=48, rows=60):
    """Counts by hour, of which `moved` has three of four in its first bin from hour `onset` on."""
    rng = np.random.default_rng(4)
    moved = [
        rng.multinomial(rows, [0.75, 0.25, 0, 0] if n >= onset else [0.5, 0.5, 0, 0]) for n in range(hours)
    ]
    same = rng.multinomial(rows, [0.5, 0.5, 0, 0], hours)
    total = np.full(hours, rows)
    counts = {"": {"moved": np.array(moved), "same": same}}
    return HourlyCounts(tuple(NOON + n * HOUR for n in range(hours)), total, total, counts)


@pytest.mark.parametrize("onset", [0, 10, 36])
def test_the_onset_is_found_within_two_hours(onset):
    hourly = simulate(onset)
    current = hourly.sum(NOON + 36 * HOUR)
    found = find_drift_onset(REFERENCE, hourly, current, ["moved"])
    assert abs(found - (NOON + onset * HOUR)) <= 2 * HOUR


def test_without_hours_or_features_there_is_none():
    hourly = simulate(10)
    current = hourly.sum()
    assert find_drift_onset(REFERENCE, HourlyCounts(), current, ["moved"]) is None
    assert find_drift_onset(REFERENCE, hourly, current, []) is None
    assert find_drift_onset(REFERENCE, hourly, current, ["unknown"]) is None
    assert find_drift_onset({}, hourly, current, ["moved"]) is None
