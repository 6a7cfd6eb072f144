"""The PSI of features over stretches of time, and when the drift that is still there began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from evergreen.monitoring.drift.figures.psi import compute_chance_psi, compute_psi
from evergreen.store.records.checks.drift import DriftReport

# A PSI of fewer rows says little.
LEAST_ROWS = 100


@dataclass(frozen=True)
class PeriodCounts:
    """Rows by bin in stretches of time that follow each other.

    `starts` are their beginnings (aware UTC), each `length` long; `rows` the predictions in each, `counts`
    for each feature an array of shape (stretches, bins).
    """

    starts: tuple[datetime, ...]
    length: timedelta
    rows: tuple[int, ...]
    counts: Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class TimeLines:
    """The PSI of each feature in stretches of time, None where there are too few rows, and since when the
    features drift without interruption, of those that still do."""

    starts: tuple[datetime, ...] = ()
    length: timedelta = timedelta(0)
    rows: tuple[int, ...] = ()
    values: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)


def compute_time_lines(
    counts: PeriodCounts, references: Mapping[str, Sequence[int]], limits: Mapping[str, float]
) -> TimeLines:
    """The PSI of each feature that has a reference, in each stretch that has rows enough.

    A feature drifts in a stretch where its PSI reaches its limit and is more than chance brings.
    """
    values: dict[str, tuple[float | None, ...]] = {}
    since: dict[str, datetime] = {}
    for feature, table in counts.counts.items():
        reference = references.get(feature)
        if reference is None or table.shape[1] != len(reference):
            continue
        line: list[float | None] = []
        drifting: list[bool | None] = []
        for row in table:
            enough = int(row.sum()) >= LEAST_ROWS
            psi = compute_psi(reference, row) if enough else None
            line.append(None if psi is None else round(psi, 5))
            limit = limits.get(feature)
            is_beyond = psi is not None and limit is not None and psi >= limit
            drifting.append(
                is_beyond and psi > compute_chance_psi(reference, row) if psi is not None else None
            )
        values[feature] = tuple(line)
        start = find_run_start(counts.starts, drifting)
        if start is not None:
            since[feature] = start
    return TimeLines(counts.starts, counts.length, counts.rows, values, since)


def follow_reports(reports: Sequence[DriftReport]) -> TimeLines:
    """The same from checks instead of counts: `reports` of one use case, the oldest first, by day (UTC).

    A day has the figures of its last check, and the predictions that this one looked at: windows of checks
    overlap, so those of several are not added up. A feature drifts since the window of the first check of
    the run that found it drifted.
    """
    if not reports:
        return TimeLines()
    first = _begin_day(reports[0].as_of)
    days = (_begin_day(reports[-1].as_of) - first).days + 1
    rows = [0] * days
    lines: dict[str, list[float | None]] = {}
    runs: dict[str, datetime] = {}
    for report in reports:
        day = (_begin_day(report.as_of) - first).days
        rows[day] = report.row_count
        for feature in report.features:
            lines.setdefault(feature.feature, [None] * days)[day] = feature.psi
            if report.drifted is None:
                continue
            if feature.drifted:
                runs.setdefault(feature.feature, report.window_start)
            else:
                runs.pop(feature.feature, None)
    starts = tuple(first + timedelta(days=day) for day in range(days))
    values = {name: tuple(line) for name, line in lines.items()}
    return TimeLines(starts, timedelta(days=1), tuple(rows), values, runs)


def find_run_start(starts: Sequence[datetime], drifting: Sequence[bool | None]) -> datetime | None:
    """The beginning of the last run of stretches that drift; stretches that are None do not interrupt it.

    None where the last stretch that says anything does not drift.
    """
    start = None
    for moment, drifts in zip(reversed(starts), reversed(drifting), strict=True):
        if drifts is None:
            continue
        if not drifts:
            break
        start = moment
    return start


def _begin_day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
