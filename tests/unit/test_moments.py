"""What people may write for a moment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from evergreen.errors import SettingsError
from evergreen.moments import parse_moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21", datetime(2026, 11, 21, tzinfo=UTC)),
        (" 2026-11-21T06:30:00 ", datetime(2026, 11, 21, 6, 30, tzinfo=UTC)),
        ("2026-11-21T06:30:00+02:00", datetime(2026, 11, 21, 4, 30, tzinfo=UTC)),
        ("2026-11-21T06:30:00Z", datetime(2026, 11, 21, 6, 30, tzinfo=UTC)),
    ],
)
def test_dates_and_times_are_utc_moments(text: str, expected: datetime) -> None:
    assert parse_moment(text) == expected
    assert parse_moment(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["", "yesterday", "21.11.2026", "2026-13-01"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="not a date"):
        parse_moment(text)
