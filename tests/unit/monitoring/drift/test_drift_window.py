"""The bounds of a check's window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from evergreen.monitoring.drift.window import choose_window_start

NOW = datetime(2026, 7, 10, 12, tzinfo=UTC)
WEEK, HOUR = timedelta(days=7), timedelta(hours=1)


@pytest.mark.parametrize(
    ("promoted_at", "last_end", "start"),
    [
        (None, None, NOW - WEEK),
        (NOW - 9 * WEEK, None, NOW - WEEK),
        (NOW - WEEK + HOUR, None, NOW - WEEK + HOUR),
        (NOW - 9 * WEEK, NOW - HOUR, NOW - HOUR),
        (NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR),
        (NOW - 2 * HOUR, NOW - HOUR, NOW - HOUR),
        (NOW - 9 * WEEK, NOW - 8 * WEEK, NOW - WEEK),
        (NOW + HOUR, None, NOW),  # before the promotion: nothing
    ],
)
def test_a_window_begins_at_the_latest_of_its_bounds(promoted_at, last_end, start):
    assert choose_window_start(NOW, WEEK, promoted_at, last_end) == start
