"""The span and the clock of a backtest: defaults that the rows allow, and errors that say what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.backtest.past.clock import choose_clock, describe_gaps
from evergreen.backtest.past.span import build_moments, choose_span
from evergreen.errors import EmptyTrainingSet, EvergreenError, NotEnoughData, SettingsError
from support.shop_past import DAY, SHOP, build_history, build_requests, day

REQUESTS = build_requests(SHOP, 30)


def test_without_dates_it_begins_with_a_third_of_the_labels_and_ends_after_the_last_row() -> None:
    assert choose_span(REQUESTS, None, None, DAY) == (day(11), day(30))


def test_with_an_end_alone_the_labels_up_to_it_count() -> None:
    assert choose_span(REQUESTS, None, day(21), DAY) == (day(9), day(21))


def test_given_dates_are_kept() -> None:
    assert choose_span(REQUESTS, day(8), day(9), DAY) == (day(8), day(9))


@pytest.mark.parametrize(
    ("start", "end", "every", "error", "message", "hint"),
    [
        (day(9), day(9), DAY, SettingsError, "begin on 2026-01-10 and end on 2026-01-10", "--from"),
        (day(20), day(9), DAY, SettingsError, "begin on 2026-01-21 and end on 2026-01-10", "--from"),
        (day(9), day(9.5), DAY, SettingsError, "no check between 2026-01-10 and", "shorter time"),
        (day(9), day(29), timedelta(minutes=1), SettingsError, "28,800 checks", "longer time between"),
        (day(-9), day(20), DAY, NotEnoughData, "has 0 labelled rows", "on 2026-01-06, 50 labels"),
        (day(2), day(20), DAY, NotEnoughData, "has 1 labelled row,", "on 2026-01-06, 50 labels"),
        (day(4), day(20), DAY, NotEnoughData, "has 49 labelled rows", "on 2026-01-06, 50 labels"),
        (day(40), day(50), DAY, EmptyTrainingSet, "2026-01-01 to 2026-01-30 23:00", "within that time"),
    ],
)
def test_dates_that_make_no_sense(
    start: datetime, end: datetime, every: timedelta, error: type[EvergreenError], message: str, hint: str
) -> None:
    with pytest.raises(error, match=message) as raised:
        choose_span(REQUESTS, start, end, every)
    assert hint in raised.value.hint


def test_a_store_without_labels_is_told() -> None:
    with pytest.raises(EmptyTrainingSet, match="shop has no labelled row"):
        choose_span(build_requests(SHOP, 0), None, None, DAY)


def test_checks_reach_the_end() -> None:
    assert build_moments(day(0), day(3), DAY) == (day(1), day(2), day(3))
    assert build_moments(day(0), day(3), 2 * DAY) == (day(2), day(3))


def test_rows_that_came_as_time_went_by_count_when_they_were_ingested() -> None:
    clock, note = choose_clock(SHOP, build_history(SHOP, 30, lag_days=1), None, None)
    assert (clock, note) == ("ingested", "Rows count as known from the moment at which they were ingested.")


def test_rows_that_were_loaded_afterwards_count_by_their_event_time() -> None:
    clock, note = choose_clock(SHOP, build_history(SHOP, 30, lag_days=200), None, None)
    assert clock == "event"
    assert "by 198 days or more" in note
    assert "its label 2d later" in note
    # Between two dates only their rows count: within 30 days, a lag of five is no loading afterwards.
    history = build_history(SHOP, 30, lag_days=7)
    assert choose_clock(SHOP, history, None, None)[0] == "ingested"
    assert choose_clock(SHOP, history, day(10), day(12))[0] == "event"


def test_gaps_are_told() -> None:
    assert describe_gaps(REQUESTS, day(5), day(29), DAY) == []
    (end,) = describe_gaps(REQUESTS, day(25), day(40), DAY)
    assert end.startswith("The last labelled row is of 2026-01-30 23:00 UTC")
    (gap,) = describe_gaps(REQUESTS, day(-20), day(29), DAY)
    assert gap.startswith("No row lies between 2025-12-12 and 2026-01-01: nothing was asked")
    # With checks that are further apart, some days without rows are no gap.
    assert describe_gaps(REQUESTS, day(25), day(31), 4 * DAY) == []


def test_the_present_is_the_end_of_what_can_be_replayed() -> None:
    _, end = choose_span(build_requests(SHOP, 20), None, None, DAY)
    assert end <= datetime.now(UTC)
