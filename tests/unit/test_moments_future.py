"""A moment that has not come is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.errors import SettingsError
from evergreen.moments import refuse_future

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


def test_now_and_a_clock_a_little_ahead_pass() -> None:
    refuse_future(NOW, NOW)
    refuse_future(NOW + timedelta(minutes=5), NOW)
    refuse_future(datetime(2026, 1, 1, tzinfo=UTC))


def test_a_mistyped_year_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"2062-11-21.* is in the future: it is 2026-11-21T06:00:00"):
        refuse_future(NOW.replace(year=2062), NOW)
    with pytest.raises(SettingsError, match="future"):
        refuse_future(datetime.now(UTC) + timedelta(minutes=6))
