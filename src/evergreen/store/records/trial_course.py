"""How many rows each version answered in the course of a trial, from a while before to a while after it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import sqlalchemy as sa

from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.records.model_trial import ModelTrial
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

# The share of a trial's time that is shown before and after it.
_AROUND = 0.2
_INTERVALS = 70
_SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True)
class TrialCourse:
    """Logged rows by version in intervals of one length, `step`, from `start` (aware UTC) on.

    `rows` are by version and whether it was on trial; each list has a count for every interval.
    """

    start: datetime
    step: timedelta
    rows: dict[tuple[int, bool], list[int]]


def read_trial_course(
    engine: sa.Engine, use_case: UseCase, trial: ModelTrial, until: datetime
) -> TrialCourse:
    """The course of a trial up to a moment (aware UTC) at the latest. Raises StoreUnreachable."""
    around = ((trial.ended_at or until) - trial.started_at) * _AROUND
    start = trial.started_at - around
    end = min(until, trial.ended_at + around) if trial.ended_at else until
    step = max((end - start) / _INTERVALS, _SHORTEST)
    count = max(1, ceil((end - start) / step))
    c = declared.build_prediction_table(use_case).c
    on_trial = c.channel == trial.challenger_channel
    since = sa.func.timestampdiff(sa.text("MICROSECOND"), to_naive_utc(start), c.predicted_at)
    interval = sa.func.floor(since / (step / timedelta(microseconds=1)))
    statement = (
        sa.select(interval, on_trial, c.model_version, sa.func.count())
        .where(
            c.predicted_at >= to_naive_utc(start),
            c.predicted_at < to_naive_utc(start + step * count),
            c.channel.in_({*TRAFFIC, trial.challenger_channel}),
        )
        .group_by(interval, on_trial, c.model_version)
    )
    with engine.connect() as connection:
        counts = execute_if_table_exists(connection, statement)
    rows: defaultdict[tuple[int, bool], list[int]] = defaultdict(lambda: [0] * count)
    for place, is_on_trial, version, number in counts:
        # The division of MariaDB may round the last row of all to the interval after it.
        rows[int(version), bool(is_on_trial)][min(int(place), count - 1)] += int(number)
    return TrialCourse(start, step, dict(rows))
