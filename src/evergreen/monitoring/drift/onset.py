"""When a drift began: the hour that parts the counts by hour best into "as the reference" and "as now"."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import numpy as np

from evergreen.model.reference_profile import SlicedProfiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.drift.figures.psi import PSEUDO_COUNT
from evergreen.store.predictions.counts import Counts, HourlyCounts


def find_drift_onset(
    reference: SlicedProfiles, hourly: HourlyCounts, current: Counts, features: Collection[str]
) -> datetime | None:
    """The beginning (aware UTC) of the first hour of the drift; None without features or hours.

    `current` are the counts of the window in which the `features` have drifted, `hourly` those of that window
    and of the time before it, by the bins of the reference. The estimate is that of the greatest likelihood
    (Page, Continuous Inspection Schemes, 1954): an hour's rows are some number of times likelier under the
    window's shares of the bins than under the reference's, and from the onset on the product of these numbers
    over hours and features is greatest.
    """
    if not hourly.hours:
        return None
    gain = np.zeros(len(hourly.hours))
    for name in features:
        profile = reference.get(ALL_ROWS, {}).get(name)
        by_hour = hourly.counts.get(ALL_ROWS, {}).get(name)
        now = current.get(ALL_ROWS, {}).get(name)
        if profile is None or by_hour is None or now is None:
            continue
        before = np.array(profile.counts, dtype=np.float64) + PSEUDO_COUNT
        after = now + PSEUDO_COUNT
        gain += by_hour @ np.log((after / after.sum()) / (before / before.sum()))
    if not gain.any():
        return None
    from_each_hour_on = np.cumsum(gain[::-1])[::-1]
    return hourly.hours[int(np.argmax(from_each_hour_on))]
