"""Conversion of moments to and from the naive UTC of MariaDB's DATETIME(6) columns."""

from __future__ import annotations

from datetime import UTC, datetime

from evergreen.errors import StoreError


def to_naive_utc(moment: datetime) -> datetime:
    """An aware moment as naive UTC. Raises StoreError for a naive one, whose time zone is unknown."""
    if moment.tzinfo is None:
        raise StoreError(
            f"the moment {moment.isoformat()} has no time zone", hint="pass aware UTC datetimes everywhere"
        )
    return moment.astimezone(UTC).replace(tzinfo=None)


def to_aware_utc(moment: datetime) -> datetime:
    """A naive UTC moment from MariaDB as an aware one."""
    return moment.replace(tzinfo=UTC)
