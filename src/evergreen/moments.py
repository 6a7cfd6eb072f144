"""Moments that people and Airflow name: read from text, and refused when they lie in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evergreen.errors import SettingsError

# How far the clock of the machine that chose a moment may be ahead of ours.
_CLOCK_TOLERANCE = timedelta(minutes=5)


def parse_moment(text: str) -> datetime:
    """An ISO 8601 date or datetime as an aware UTC moment; without an offset it is UTC.

    Raises SettingsError for anything else.
    """
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a date or a time",
            hint="write it as 2026-11-21 or 2026-11-21T06:30:00 (UTC unless it carries an offset)",
        ) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def refuse_future(as_of: datetime, now: datetime | None = None) -> None:
    """Raise SettingsError for an `as_of` (aware) after `now`: rows or models as of a mistyped year would
    outlive all that really happens until then."""
    now = now or datetime.now(UTC)
    if as_of > now + _CLOCK_TOLERANCE:
        raise SettingsError(
            f"{as_of.isoformat()} is in the future: it is {now:%Y-%m-%dT%H:%M:%S} UTC",
            hint="give an --as-of that has passed, or leave it out",
        )
