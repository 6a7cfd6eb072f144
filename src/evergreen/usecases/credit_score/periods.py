"""The simulated bank's time: periods of 30 days, counted from the moment at which its books begin.

A period is what the bank calls a month. Each is as long as every other, and a bank year has twelve of them,
as in the 30/360 day count of real banks. The dice are seeded with a period's number and never with a date, so
a bank whose books begin a day, a month or ten years later records the same values, later by just that time.
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
    """The same moment in UTC, in whole seconds, which is what the bank's columns hold.

    Raises UseCaseError for one without a time zone.
    """
    if moment.tzinfo is None:
        raise UseCaseError(f"the moment {moment} has no time zone", hint="say which: UTC is what is kept")
    return moment.astimezone(UTC).replace(microsecond=0)


def to_numpy_time(moment: datetime) -> np.datetime64:
    """An aware moment as the bank keeps it: naive, in UTC, in seconds."""
    return np.datetime64(to_whole_second_utc(moment).replace(tzinfo=None), "s")


def compute_period_start(origin: datetime, number: int) -> datetime:
    """When that period of a bank begins whose period 0 begins at `origin`."""
    return origin + number * PERIOD


def compute_period_starts(origin: datetime, numbers: NDArray[np.int64]) -> Moments:
    """The same for an array of numbers, of its shape, as datetime64[s]."""
    return to_numpy_time(origin) + numbers * np.timedelta64(PERIOD // timedelta(seconds=1), "s")


def periods_before(origin: datetime, end: datetime) -> int:
    """How many periods begin before `end`. Raises UseCaseError for more than are simulated."""
    count = max(0, -((origin - end) // PERIOD))
    if count > MAX_PERIODS:
        raise UseCaseError(
            f"a bank that begins on {origin:%Y-%m-%d} is not simulated until {end:%Y-%m-%d}",
            hint=f"its books hold {MAX_PERIODS} periods of {PERIOD.days} days at most",
        )
    return count


def check_period(number: int) -> int:
    """Return that number of a period; raise UseCaseError if no bank has it."""
    if not 0 <= number < MAX_PERIODS:
        raise UseCaseError(f"there is no period {number}", hint=f"choose one from 0 to {MAX_PERIODS - 1}")
    return number
