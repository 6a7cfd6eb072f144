"""The bank's time: periods of equal length, and the same values at whatever moment the books begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evergreen.errors import UseCaseError
from evergreen.usecases.credit_score.periods import MAX_PERIODS, PERIOD, periods_before
from evergreen.usecases.credit_score.simulator import simulate_recorded_rows

START = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
WHOLE = timedelta(days=200)
SECOND = np.timedelta64(1, "s")
MOMENTS = ("valid_from", "event_time", "recorded_at")

moments = st.datetimes(
    datetime(2001, 1, 1),  # noqa: DTZ001  hypothesis adds the zone
    datetime(2090, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(-timedelta(hours=3, minutes=30))]),
).map(lambda moment: moment.replace(microsecond=0))


@pytest.fixture(scope="module")
def expected() -> dict[str, pd.DataFrame]:
    return bank(START)


def bank(start: datetime, length: timedelta = WHOLE, **more: Any) -> dict[str, pd.DataFrame]:
    """The bank's tables in order of key and time, with every moment counted from `start`, in seconds."""
    given = {"customers": 25, "seed": 5, "recession_from": start + 4 * PERIOD, **more}
    frames = simulate_recorded_rows(start=start, end=start + length, **given)
    origin = np.datetime64(start.astimezone(UTC).replace(tzinfo=None), "s")
    found = {}
    for name, frame in frames.items():
        counted = {c: ((frame[c].to_numpy() - origin) / SECOND).astype(int) for c in MOMENTS if c in frame}
        keys = ["customer_id", *counted]
        found[name] = frame.assign(**counted).sort_values(keys[:2]).reset_index(drop=True)
    return found


@given(start=moments)
@settings(max_examples=10, deadline=None)
def test_books_that_begin_at_another_moment_hold_the_same_values_moved_in_time(
    expected: dict[str, pd.DataFrame], start: datetime
) -> None:
    moved = bank(start)
    assert moved.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(moved[name], frame)


# Nobody's outcome is known yet: a table without rows.
@example(seconds=28_344)
@given(seconds=st.integers(1, int(WHOLE.total_seconds())))
@settings(max_examples=10, deadline=None)
def test_what_was_recorded_by_a_moment_is_what_is_known_of_it_later(
    expected: dict[str, pd.DataFrame], seconds: int
) -> None:
    """An earlier end only leaves out what was recorded after it."""
    earlier = bank(START, timedelta(seconds=seconds))
    for name, frame in expected.items():
        known = frame[frame["recorded_at"] <= seconds].reset_index(drop=True)
        pd.testing.assert_frame_equal(earlier[name], known, check_dtype=False)


def test_every_period_is_as_long_as_every_other(expected: dict[str, pd.DataFrame]) -> None:
    times = expected["monthly_fact"]["event_time"].unique()
    assert sorted(times) == [number * PERIOD.total_seconds() for number in range(7)]


@pytest.mark.parametrize(
    ("days", "count"), [(-1, 0), (0, 0), (1e-5, 1), (30, 1), (30.00002, 2), (666, 23), (660, 22)]
)
def test_periods_that_begin_before_a_moment_are_counted(days: float, count: int) -> None:
    assert periods_before(START, START + timedelta(days=days)) == count


def test_a_bank_has_an_end_and_its_moments_a_time_zone() -> None:
    with pytest.raises(UseCaseError, match="is not simulated until") as caught:
        periods_before(START, START + MAX_PERIODS * PERIOD + timedelta(seconds=1))
    assert "960 periods of 30 days" in caught.value.hint
    with pytest.raises(UseCaseError, match="no time zone"):
        bank(START.replace(tzinfo=None))
