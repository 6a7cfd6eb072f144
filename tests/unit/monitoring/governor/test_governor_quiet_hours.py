from datetime import UTC, datetime, time

import pytest

from evergreen.monitoring.governor.quiet_hours import is_quiet
from evergreen.usecase import QuietHours

NIGHT = QuietHours(time(22), time(6), "Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(2026, *parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hour", "minute", "quiet"), [(8, 59, False), (9, 0, True), (16, 59, True), (17, 0, False)]
)
def test_hours_include_their_start_and_not_their_end(hour, minute, quiet):
    assert is_quiet(QuietHours(time(9), time(17)), utc(7, 10, hour, minute)) is quiet


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        # Summer: Berlin is two hours ahead of UTC.
        (utc(7, 10, 19, 59), False),
        (utc(7, 10, 20, 0), True),
        (utc(7, 10, 23, 30), True),
        (utc(7, 11, 3, 59), True),
        (utc(7, 11, 4, 0), False),
        # Winter: one hour ahead.
        (utc(1, 10, 20, 30), False),
        (utc(1, 10, 21, 0), True),
        (utc(1, 11, 4, 59), True),
        (utc(1, 11, 5, 0), False),
    ],
)
def test_hours_over_midnight_follow_the_wall_clock_of_their_zone(moment, quiet):
    assert is_quiet(NIGHT, moment) is quiet


def test_the_night_in_which_clocks_go_forward_is_an_hour_shorter():
    # 2026-03-29: 02:00 is followed by 03:00. From 22:00 CET (21:00 UTC) to 06:00 CEST (04:00 UTC).
    assert [is_quiet(NIGHT, utc(3, 28, 21, 0)), is_quiet(NIGHT, utc(3, 29, 3, 59))] == [True, True]
    assert [is_quiet(NIGHT, utc(3, 28, 20, 59)), is_quiet(NIGHT, utc(3, 29, 4, 0))] == [False, False]


def test_the_night_in_which_clocks_go_back_is_an_hour_longer():
    # 2026-10-25: 03:00 is followed by 02:00. From 22:00 CEST (20:00 UTC) to 06:00 CET (05:00 UTC).
    assert [is_quiet(NIGHT, utc(10, 24, 20, 0)), is_quiet(NIGHT, utc(10, 25, 4, 59))] == [True, True]
    assert [is_quiet(NIGHT, utc(10, 24, 19, 59)), is_quiet(NIGHT, utc(10, 25, 5, 0))] == [False, False]


def test_hours_that_clocks_skip_or_repeat():
    twice = QuietHours(time(2), time(3), "Europe/Berlin")
    assert [is_quiet(twice, utc(10, 25, hour, 30)) for hour in (0, 1)] == [True, True]
    assert not any(is_quiet(twice, utc(3, 29, hour, minute)) for hour in range(4) for minute in (0, 30))


def test_days_are_those_on_which_the_hours_begin():
    weekend = QuietHours(time(22), time(6), days=(5, 6))
    # 2026-07-10 is a Friday.
    assert [is_quiet(weekend, utc(7, day, 23)) for day in (10, 11, 12, 13)] == [False, True, True, False]
    assert [is_quiet(weekend, utc(7, day, 5)) for day in (11, 12, 13, 14)] == [False, True, True, False]


def test_hours_that_end_where_they_start_last_a_day():
    sunday = QuietHours(time(0), time(0), days=(6,))
    assert [is_quiet(sunday, utc(7, 12, hour)) for hour in (0, 12, 23)] == [True, True, True]
    assert not is_quiet(sunday, utc(7, 13, 0))
    from_noon = QuietHours(time(12), time(12), days=(6,))
    assert is_quiet(from_noon, utc(7, 13, 11))
    assert not is_quiet(from_noon, utc(7, 12, 11))
