"""By which clock the past was known, and the gaps in it."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from evergreen.backtest.dates import DAY, format_duration, format_moment, to_moment
from evergreen.backtest.past.requests import Requests
from evergreen.backtest.result import Clock
from evergreen.store.connection.arrow import to_integers
from evergreen.store.history.asof import to_microseconds
from evergreen.store.history.known_rows import FOREVER
from evergreen.store.history.labelled_history import LabelledHistory
from evergreen.usecase import EVENT_TIME, UseCase

_LATE_SHARE = 0.25
_GAP_FACTOR = 3.0
_MOST_GAPS = 3


def choose_clock(
    use_case: UseCase, history: LabelledHistory, start: datetime | None, end: datetime | None
) -> tuple[Clock, str]:
    """The clock that suits a history read by `ingested_at`, and the sentence that says so.

    Where half of the labels between two dates (None: any) came to the store later than a quarter of the time
    between the first and the last of them, the history was loaded afterwards, and `ingested_at` says nothing
    about the past.
    """
    delay = use_case.label.delay // timedelta(microseconds=1)
    is_asked = history.asked_at < FOREVER
    times, known_times = to_integers(history.table[EVENT_TIME])[is_asked], history.label_known_at[is_asked]
    within = np.ones(len(times), dtype=bool)
    if start is not None:
        within &= times > to_microseconds(start)
    if end is not None:
        within &= times <= to_microseconds(end)
    if within.any():
        times, known_times = times[within], known_times[within]
    if not len(times):
        return "ingested", ""
    late = float(np.median(known_times - times - delay))
    if late <= _LATE_SHARE * float(times[-1] - times[0]):
        return "ingested", "Rows count as known from the moment at which they were ingested."
    days = timedelta(microseconds=late) // DAY
    return "event", (
        f"The rows were ingested long after they happened (half of the labels by {days:,} days or more):"
        f" {describe_event_clock(use_case)}"
    )


def describe_event_clock(use_case: UseCase) -> str:
    """What counts as known when, by event times."""
    delay = use_case.label.delay
    label = f"its label {format_duration(delay)} later" if delay else "its label with it"
    return f"each counts as known at its event time, {label}."


def describe_gaps(requests: Requests, start: datetime, end: datetime, every: timedelta) -> list[str]:
    """A sentence for each stretch without rows that is far longer than usual between two rows, and holds
    several checks; and one where the rows end long before the backtest does."""
    first, last = to_microseconds(start), to_microseconds(end)
    times = np.unique(np.concatenate([[first], requests.times[requests.find_span(start, end)]]))
    steps = np.diff(times)
    usual = float(np.quantile(steps, 0.9)) if len(steps) else 0.0
    least = max(_GAP_FACTOR * usual, 2.0 * (every / timedelta(microseconds=1)))
    gaps = np.flatnonzero(steps > least)
    sentences = [
        f"No row lies between {format_moment(to_moment(times[gap]))} and"
        f" {format_moment(to_moment(times[gap + 1]))}: nothing was asked there, and checks had nothing to"
        " decide on."
        for gap in gaps[:_MOST_GAPS]
    ]
    if len(gaps) > _MOST_GAPS:
        sentences.append(f"There are {len(gaps) - _MOST_GAPS} more such gaps.")
    if last - times[-1] > least:
        sentences.append(
            f"The last labelled row is of {format_moment(to_moment(times[-1]))}: what was asked later has no"
            " label, or not yet."
        )
    return sentences
