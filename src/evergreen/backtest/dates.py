"""Moments and durations of a backtest: converted, rounded, and written for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_moment(microseconds: int) -> datetime:
    """The aware UTC moment of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=int(microseconds))


def floor_day(moment: datetime) -> datetime:
    """The midnight (UTC) at which the moment's day begins."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def ceil_day(moment: datetime) -> datetime:
    """The first midnight (UTC) that is not before the moment."""
    day = floor_day(moment)
    return day if day == moment else day + DAY


def format_moment(moment: datetime) -> str:
    """A date; with the time in UTC where it is not midnight."""
    return f"{moment:%Y-%m-%d}" if moment == floor_day(moment) else f"{moment:%Y-%m-%d %H:%M} UTC"


def format_duration(duration: timedelta) -> str:
    """A duration in its greatest whole unit, without a space: 7d, 12h, 30min."""
    for size, word in ((DAY, "d"), (timedelta(hours=1), "h")):
        if duration >= size and duration % size == timedelta(0):
            return f"{duration // size}{word}"
    return f"{duration / timedelta(minutes=1):g}min"
