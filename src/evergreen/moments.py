"""Moments given as text by people and Airflow: parsed, and refused when they are in the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evergreen.errors import SettingsError

# How far the clock of the machine that a moment comes from may be ahead of this machine's.
_CLOCK_TOLERANCE = timedelta(minutes=5)


def parse_moment(text: str) -> datetime:
    """An ISO 8601 date or datetime as an aware UTC moment; without an offset it is UTC.

    Raises SettingsError for anything else.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SettingsError(
            f"{text!r} is not a date or a time",
            hint="write it as 2026-11-21 or 2026-11-21T06:30:00 (UTC unless it carries an offset)",
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def refuse_future(as_of: datetime, now: datetime | None = None) -> None:
    """Raise SettingsError for an `as_of` (aware) after `now` (the present by default), such as a mistyped
    year: rows or models as of that moment would take precedence over all later ones until it has passed."""
    now = now or datetime.now(UTC)
    if is_future(as_of, now):
        raise SettingsError(
            f"{as_of.isoformat()} is in the future: it is {now:%Y-%m-%dT%H:%M:%S} UTC",
            hint="give an --as-of that has passed, or leave it out",
        )


def is_future(moment: datetime, now: datetime) -> bool:
    """Whether a moment lies after `now` by more than clocks of machines differ; both aware."""
    return moment > now + _CLOCK_TOLERANCE
