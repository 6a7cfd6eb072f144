"""Freshness: how old the newest rows of each view and of the label are, and the last load."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.errors import UseCaseError
from evergreen.monitoring.health.schedule import find_due_tick
from evergreen.store.records.checks.health import HealthFinding, HealthSeverity
from evergreen.store.records.ingest_run import find_last_load, find_newest_event_time
from evergreen.usecase import FeatureView, Label, UseCase


def measure_freshness(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> list[HealthFinding]:
    """A finding for each part with an event time, and one for the last load, as of a moment (aware)."""
    parts: list[FeatureView | Label] = [*use_case.views, use_case.label]
    findings = [
        judge_part(part, find_newest_event_time(engine, use_case, part, as_of), as_of)
        for part in parts
        if part.event_time is not None
    ]
    load = find_last_load(engine, use_case, as_of)
    return [*findings, judge_last_load(use_case, load.as_of if load else None, as_of)]


def judge_part(part: FeatureView | Label, newest: datetime | None, as_of: datetime) -> HealthFinding:
    """Whether the newest row of a view or the label is younger than its contract and its `max_age` allow.

    The value and the limit are in seconds. Beyond its `max_age` a view's features are missing, which is an
    error; so is a contract's freshness of that severity. A label is due `delay` after its event time.
    """
    if newest is None:
        return HealthFinding("freshness", part.name, "error", f"{part.name} has no rows")
    delay = part.delay if isinstance(part, Label) else timedelta(0)
    age = as_of - newest - delay
    sentence = f"the newest row of {part.name} is {format_age(age)} old"
    if delay:
        sentence = f"the newest row of {part.name} has been known for {format_age(age)}"
    severity: HealthSeverity = "ok"
    limits = []
    freshness = part.contract.freshness
    if freshness is not None:
        limits.append(freshness.within)
        if age > freshness.within:
            severity = freshness.severity
            sentence += f"; its contract allows {format_age(freshness.within)}"
    if isinstance(part, FeatureView) and part.max_age is not None:
        limits.append(part.max_age)
        if age > part.max_age:
            severity = "error"
            sentence += f"; beyond {format_age(part.max_age)} its features are missing"
    limit = min(limits).total_seconds() if limits else None
    return HealthFinding("freshness", part.name, severity, sentence, age.total_seconds(), limit)


def judge_last_load(use_case: UseCase, loaded: datetime | None, as_of: datetime) -> HealthFinding:
    """Whether the load is there that the schedule of ingests had due by a moment (aware).

    The value is the age of the last load, the limit that of the due one, in seconds. A schedule that is none
    is a warning.
    """
    if loaded is None:
        return HealthFinding("freshness", "", "error", "nothing was ever loaded")
    age, schedule = as_of - loaded, use_case.schedules.ingest
    sentence = f"the last load was {format_age(age)} ago"
    if schedule is None:
        return HealthFinding("freshness", "", "ok", sentence, age.total_seconds())
    try:
        due = find_due_tick(schedule, as_of)
    except UseCaseError as error:
        sentence += f"; whether one is missing is not known, because {error.message}"
        return HealthFinding("freshness", "", "warning", sentence, age.total_seconds())
    limit = (as_of - due).total_seconds()
    if loaded >= due:
        return HealthFinding("freshness", "", "ok", sentence, age.total_seconds(), limit)
    sentence += f"; by the schedule {schedule} one was due as of {due:%Y-%m-%d %H:%M} UTC"
    return HealthFinding("freshness", "", "warning", sentence, age.total_seconds(), limit)


def format_age(age: timedelta) -> str:
    """A duration in its greatest unit, such as "3.2 d"; "0 s" for a negative one."""
    seconds = max(0.0, age.total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
