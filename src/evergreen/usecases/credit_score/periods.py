"""The simulated bank's time: periods of 30 days, counted from the moment at which its books begin.

A period is what the bank calls a month. All have the same length, and a bank year has twelve of them, as in
the 30/360 day count of real banks. Random numbers are seeded with a period's number and never with a date, so
that a bank whose books begin a day, a month or ten years later records the same values, later by that time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from evergreen.errors import UseCaseError

PERIOD = timedelta(days=30)
PERIODS_A_YEAR = 12
MAX_PERIODS = 80 * PERIODS_A_YEAR

Moments = NDArray[np.datetime64]


def to_whole_second_utc(moment: datetime) -> datetime:
    """The moment in UTC without fractions of a second, as the bank's columns hold it.

    Raises UseCaseError for one without a time zone.
    """
    if moment.tzinfo is None:
        raise UseCaseError(f"the moment {moment} has no time zone", hint="say which: UTC is what is kept")
    return moment.astimezone(UTC).replace(microsecond=0)


def to_numpy_time(moment: datetime) -> np.datetime64:
    """An aware moment as datetime64[s]: naive, in UTC."""
    return np.datetime64(to_whole_second_utc(moment).replace(tzinfo=None), "s")


def compute_period_start(origin: datetime, number: int) -> datetime:
    """The moment at which period `number` begins, for a bank whose period 0 begins at `origin`."""
    return origin + number * PERIOD


def compute_period_starts(origin: datetime, numbers: NDArray[np.int64]) -> Moments:
    """`compute_period_start` for an array of numbers, as datetime64[s] of its shape."""
    return to_numpy_time(origin) + numbers * np.timedelta64(PERIOD // timedelta(seconds=1), "s")


def periods_before(origin: datetime, end: datetime) -> int:
    """How many periods begin before `end`. Raises UseCaseError for more than MAX_PERIODS."""
    count = max(0, -((origin - end) // PERIOD))
    if count > MAX_PERIODS:
        raise UseCaseError(
            f"a bank that begins on {origin:%Y-%m-%d} is not simulated until {end:%Y-%m-%d}",
            hint=f"its books hold {MAX_PERIODS} periods of {PERIOD.days} days at most",
        )
    return count


def check_period(number: int) -> int:
    """`number` if a bank has a period of that number. Raises UseCaseError if not."""
    if not 0 <= number < MAX_PERIODS:
        raise UseCaseError(f"there is no period {number}", hint=f"choose one from 0 to {MAX_PERIODS - 1}")
    return number
