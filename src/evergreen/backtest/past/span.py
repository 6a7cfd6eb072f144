"""The span of time that a backtest replays, and its checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from evergreen.backtest.dates import DAY, ceil_day, floor_day, format_duration, format_moment, to_moment
from evergreen.backtest.past.requests import Requests
from evergreen.errors import EmptyTrainingSet, NotEnoughData, SettingsError
from evergreen.training.data.split import MINIMUM_ROWS

MOST_CHECKS = 20_000
# Without a date, a backtest begins when this share of all labels up to its end was known.
_FIRST_SHARE = 1 / 3


def choose_span(
    requests: Requests, start: datetime | None, end: datetime | None, every: timedelta
) -> tuple[datetime, datetime]:
    """The beginning and the end of a backtest; where they are not given, of a time that the rows allow.

    Raises SettingsError for dates that make no sense, EmptyTrainingSet without rows between them, and
    NotEnoughData where the rows known at the beginning are too few for a model.
    """
    name = requests.rows.use_case.name
    if not len(requests):
        hint = f"ingest first: evergreen run ingest {name}"
        raise EmptyTrainingSet(f"{name} has no labelled row", hint=hint)
    known_times = np.sort(requests.label_known_at)
    first, last = to_moment(requests.times[0]), to_moment(requests.times[-1])
    begin = start or _choose_start(requests, end) or first
    finish = end or min(floor_day(last) + DAY, datetime.now(UTC).replace(microsecond=0))
    _check_dates(begin, finish, every)
    data = f"its labelled rows are of {format_moment(first)} to {format_moment(last)}"
    _check_first_rows(requests, begin, known_times, data)
    span = requests.find_span(begin, finish)
    if span.start == span.stop:
        raise EmptyTrainingSet(
            f"{name} has no labelled row between {format_moment(begin)} and {format_moment(finish)}: {data}",
            hint="choose dates within that time",
        )
    return begin, finish


def build_moments(start: datetime, end: datetime, every: timedelta) -> tuple[datetime, ...]:
    """The checks: each `every` after the one before, the last one at the end."""
    count = int((end - start) / every)
    moments = [start + number * every for number in range(1, count + 1)]
    return tuple(moments if moments and moments[-1] == end else [*moments, end])


def _choose_start(requests: Requests, end: datetime | None) -> datetime | None:
    """The day on which a share of the labels of rows up to the end was known; None without such rows."""
    until = len(requests) if end is None else requests.find_span(None, end).stop
    known_times = np.sort(requests.label_known_at[:until])
    return floor_day(to_moment(known_times[int(_FIRST_SHARE * (until - 1))])) if until else None


def _check_dates(begin: datetime, end: datetime, every: timedelta) -> None:
    if begin >= end:
        raise SettingsError(
            f"the backtest would begin on {format_moment(begin)} and end on {format_moment(end)}",
            hint="let --from be the earlier date",
        )
    if every > end - begin:
        raise SettingsError(
            f"with --every {format_duration(every)} there is no check between {format_moment(begin)} and"
            f" {format_moment(end)}",
            hint="choose a shorter time between checks, or a longer time to replay",
        )
    if (end - begin) / every > MOST_CHECKS:
        raise SettingsError(
            f"--every {format_duration(every)} makes {int((end - begin) / every):,} checks",
            hint=f"choose a longer time between checks: {MOST_CHECKS:,} are the most",
        )


def _check_first_rows(requests: Requests, begin: datetime, known: npt.NDArray[np.int64], data: str) -> None:
    """`known`: when labels became known, in microseconds and ascending; `data`: the rows' times in words."""
    count = len(requests.rows.select_known(begin))
    if count >= MINIMUM_ROWS:
        return
    hint = "ingest more history"
    if len(known) >= MINIMUM_ROWS:
        earliest = format_moment(ceil_day(to_moment(known[MINIMUM_ROWS - 1])))
        hint = f"begin later: on {earliest}, {MINIMUM_ROWS} labels were known"
    rows = "1 labelled row" if count == 1 else f"{count} labelled rows"
    raise NotEnoughData(
        f"as of {format_moment(begin)} {requests.rows.use_case.name} has {rows}, and the first"
        f" model takes {MINIMUM_ROWS} or more ({data})",
        hint=hint,
    )
