"""The counts of a window of any length: whole hours from the table, the partial hours at its ends from the
log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from evergreen.model.prediction_counter import ProfileBins
from evergreen.model.reference_profile import SlicedProfiles
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.monitoring.counts.mend import find_uncounted_hours, mend_counts
from evergreen.monitoring.counts.recount import recount_window
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.counts import (
    HOUR,
    Counts,
    HourlyCounts,
    add_counts,
    floor_hour,
    read_hourly_counts,
)
from evergreen.usecase import UseCase

# A partial hour is counted anew where the hour has at most so many rows, which takes about a second; where
# it has more, the whole hour is taken.
MOST_RECOUNTED_ROWS = 200_000


@dataclass(frozen=True)
class WindowCounts:
    """The predictions of a version from `start` and before `end` (aware UTC), which are those that were asked
    for, or the bounds of their hours where these have too many rows to be counted anew.

    `counts` are the sums of all of its `rows`; `hourly` those of the whole hours that the window touches.
    `refused` has, by field, how many rows services refused meanwhile for a value of it, in whole hours.
    """

    start: datetime
    end: datetime
    rows: int = 0
    counts: Counts = field(default_factory=dict)
    hourly: HourlyCounts = field(default_factory=HourlyCounts)

    @property
    def refused(self) -> Mapping[str, int]:
        """Refused rows by field."""
        return {name: int(rows.sum()) for name, rows in self.hourly.refused.items()}


def read_window_counts(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    profiles: SlicedProfiles,
    start: datetime,
    end: datetime,
    channels: Sequence[str] = TRAFFIC,
    *,
    mend: bool = True,
) -> WindowCounts:
    """The counts of a version's predictions with start <= predicted_at < end (aware UTC) by the bins of
    `profiles`, its own.

    The time that it takes depends on the number of hours, not on that of the predictions. Hours that were not
    counted yet are counted first, and kept; without `mend` they are counted for this once, nothing is
    written, and `hourly` is without them. Without predictions every count is 0; features that the log has no
    column for are left out. Raises StoreUnreachable.
    """
    bins = ProfileBins(use_case, profiles)
    names = [ALL_ROWS, *(group.name for groups in bins.groups.values() for group in groups)]
    blank: Counts = {
        name: {each.feature: np.zeros(len(each.bins) + 2, dtype=np.int64) for each in bins.features}
        for name in names
    }
    if start >= end:
        return WindowCounts(start, start, 0, blank)
    outer_start, outer_end = floor_hour(start), _ceil_hour(end)
    uncounted: set[datetime] = set()
    if mend:
        mend_counts(engine, use_case, version, profiles, outer_start, outer_end, channels)
    else:
        with engine.connect() as connection:
            keys = find_uncounted_hours(
                connection, use_case, version, profiles, outer_start, outer_end, channels
            )
        uncounted = {to_aware_utc(key.hour) for key in keys}
    hourly = read_hourly_counts(
        engine, use_case.name, version, outer_start, outer_end, channels, profile=bins.digest
    )
    rows_by_hour = dict(zip(hourly.hours, hourly.rows.tolist(), strict=True))
    hourly = hourly.drop_hours(uncounted)
    partial_hours: list[tuple[datetime, datetime]] = []
    inner_start, inner_end = outer_start, outer_end
    if start > outer_start and rows_by_hour.get(outer_start, 0) <= MOST_RECOUNTED_ROWS:
        inner_start = outer_start + HOUR
        partial_hours.append((start, min(inner_start, end)))
    if end < outer_end and rows_by_hour.get(outer_end - HOUR, 0) <= MOST_RECOUNTED_ROWS:
        inner_end = outer_end - HOUR
        if inner_end >= inner_start:
            partial_hours.append((inner_end, end))
    rows = sum(
        count
        for hour, count in rows_by_hour.items()
        if inner_start <= hour < inner_end and hour not in uncounted
    )
    counts = add_counts(blank, hourly.sum(inner_start, inner_end))
    anew = _join_hours(hour for hour in uncounted if inner_start <= hour < inner_end)
    for span_start, span_end in (*partial_hours, *anew):
        hour = floor_hour(span_start)
        # Nothing is asked of hours without rows.
        if rows_by_hour.get(hour) or hour in uncounted:
            some_rows, some = recount_window(
                engine, use_case, version, profiles, span_start, span_end, channels
            )
            rows += some_rows
            counts = add_counts(counts, some)
    return WindowCounts(
        start if partial_hours and partial_hours[0][0] == start else inner_start,
        end if partial_hours and partial_hours[-1][1] == end else inner_end,
        rows,
        counts,
        hourly,
    )


def _join_hours(hours: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """The beginnings of hours as windows, of neighbours one."""
    windows: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if windows and windows[-1][1] == hour:
            windows[-1] = (windows[-1][0], hour + HOUR)
        else:
            windows.append((hour, hour + HOUR))
    return windows


def _ceil_hour(moment: datetime) -> datetime:
    hour = floor_hour(moment)
    return hour if hour == moment else hour + HOUR
