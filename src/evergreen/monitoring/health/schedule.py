"""When the schedule of a DAG had a run due, by its cron expression or Airflow preset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from croniter import croniter
from croniter.croniter import CroniterError

from evergreen.errors import UseCaseError

# The DAGs' cron expressions are meant in this time zone.
SCHEDULE_ZONE = UTC

# Airflow's preset that croniter does not know; it knows the others.
_PRESETS = {"@quarterly": "0 0 1 */3 *"}
# A run that a tick started may take until the next tick, and a day at most.
_LONGEST_RUN = timedelta(days=1)


def find_due_tick(expression: str, as_of: datetime) -> datetime:
    """The newest tick (aware UTC) whose run should have ended by a moment (aware).

    A run has as long as lies between the last two ticks up to the moment, and a day at most. Raises
    UseCaseError for an expression that is none, or that no date ever meets.
    """
    moment = as_of.astimezone(SCHEDULE_ZONE)
    try:
        last, earlier = _list_ticks(expression, moment, 2)
        [due] = _list_ticks(expression, moment - min(last - earlier, _LONGEST_RUN), 1)
    except CroniterError as error:
        raise UseCaseError(
            f"{expression!r} is no schedule: {error}",
            hint="write the five fields of cron, such as 0 6 * * 1-5, or a preset such as @daily",
        ) from error
    return due.astimezone(UTC)


def _list_ticks(expression: str, until: datetime, count: int) -> list[datetime]:
    """The last ticks up to a moment, which counts, the newest first."""
    # croniter leaves out the moment that it begins with.
    start = until + timedelta(microseconds=1)
    ticks = croniter(_PRESETS.get(expression, expression), start, ret_type=datetime)
    return [ticks.get_prev() for _ in range(count)]
