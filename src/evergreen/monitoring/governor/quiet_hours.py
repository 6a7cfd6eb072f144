"""Whether a moment lies within declared quiet hours."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from evergreen.usecase import QuietHours


def is_quiet(hours: QuietHours, moment: datetime) -> bool:
    """Whether the moment (aware) lies within the hours, by the wall clock of their time zone.

    Hours that end at the time at which they start last a whole day.
    """
    local = moment.astimezone(ZoneInfo(hours.zone))
    clock = local.time().replace(fold=0)
    if hours.start < hours.end:
        return hours.start <= clock < hours.end and local.weekday() in hours.days
    if clock >= hours.start:
        return local.weekday() in hours.days
    return clock < hours.end and (local - timedelta(days=1)).weekday() in hours.days
