"""What the prediction log has of the versions of a trial: their rows, and how right they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from evergreen.documents import JsonObject, write_document
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.outcomes import build_newest_outcomes, join_outcomes
from evergreen.store.records.model_trial import ModelTrial
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

# Of the normal distribution: 95 % of it lie within so many standard deviations.
_Z = 1.96
# Below so many numbers the normal interval of their mean says nothing.
_LEAST_NUMBERS = 30


@dataclass(frozen=True)
class Estimate:
    """A mean over so many rows, and the ends of its 95 % interval: None where the rows are too few."""

    rows: int
    value: float
    low: float | None
    high: float | None

    def describe(self) -> str:
        """The figure with its interval, such as "0.123 (0.101 to 0.149)"."""
        if self.low is None or self.high is None:
            return f"{self.value:.3g}"
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True)
class TrialRows:
    """The logged rows of one version in a trial, and how many of them have each predicted class; no classes
    for numbers, of which `mean` is given.

    `error` is over the rows with an outcome (`/feedback`): the share of wrong classes, or the mean absolute
    error of numbers. None where there are none, as in a shadow, whose answers nobody saw.
    """

    version: int
    rows: int
    classes: dict[str, int]
    mean: float | None
    error: Estimate | None = None

    def to_json(self) -> JsonObject:
        """The fields by their names, for `evergreen trial status --json`."""
        return write_document(self)


def count_trial_rows(engine: sa.Engine, use_case: UseCase, trial: ModelTrial) -> tuple[TrialRows, ...]:
    """What the log has of champion, challenger and rival (where there is one) from the trial's start to its
    end. Outcomes count whenever they came."""
    table = declared.build_prediction_table(use_case)
    is_number = not use_case.label.classes
    prediction = sa.literal("") if is_number else table.c.prediction
    mean = sa.func.avg(table.c.prediction) if is_number else sa.null()
    on_trial = table.c.channel == trial.challenger_channel
    where = _select_rows(table, trial)
    statement = (
        sa.select(on_trial, table.c.model_version, prediction, sa.func.count(), mean)
        .where(*where)
        .group_by(on_trial, table.c.model_version, prediction)
    )
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
        errors = execute_if_table_exists(connection, _select_errors(use_case, trial, table, where))

    def _estimate(count: int, average: float, deviation: float) -> Estimate:
        return estimate_mean(count, average, deviation) if is_number else estimate_share(count, average)

    def _collect(version: int, *, is_on_trial: bool) -> TrialRows:
        me = (is_on_trial, version)
        own = [(name, int(count), average) for one, v, name, count, average in rows if (bool(one), v) == me]
        error = next((row for row in errors if (bool(row[0]), row[1]) == me), None)
        return TrialRows(
            version,
            sum(count for _, count, _ in own),
            {} if is_number else {str(name): count for name, count, _ in own},
            float(own[0][2]) if is_number and own else None,
            None if error is None else _estimate(int(error[2]), float(error[3]), float(error[4])),
        )

    return (
        _collect(trial.champion_version, is_on_trial=False),
        *(_collect(version, is_on_trial=True) for version in trial.versions_on_trial),
    )


def estimate_mean(rows: int, mean: float, deviation: float) -> Estimate:
    """A mean of so many numbers with its normal interval; `deviation` is their standard deviation."""
    if rows < _LEAST_NUMBERS:
        return Estimate(rows, mean, None, None)
    half = _Z * deviation / math.sqrt(rows)
    return Estimate(rows, mean, mean - half, mean + half)


def estimate_share(rows: int, share: float) -> Estimate:
    """A share of so many rows with Wilson's interval (1927), which holds for few rows and rare faults too."""
    weight = _Z**2 / rows
    centre = (share + weight / 2) / (1 + weight)
    half = _Z * math.sqrt(share * (1 - share) / rows + weight / (4 * rows)) / (1 + weight)
    return Estimate(rows, share, max(0.0, centre - half), min(1.0, centre + half))


def estimate_difference(one: Estimate, other: Estimate) -> Estimate:
    """`one` less `other`, of other rows each, with the interval of Newcombe (1998)."""
    value = one.value - other.value
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate(one.rows + other.rows, value, None, None)
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(one.rows + other.rows, value, low, high)


def describe_comparison(use_case: UseCase, one: TrialRows, other: TrialRows) -> str:
    """How two versions compare: their rows, and their errors where outcomes have arrived for both."""
    counts = f"v{one.version} answered {one.rows:,} rows and v{other.version} {other.rows:,}"
    if one.error is None or other.error is None:
        return f"{counts}; outcomes have not arrived for both"
    name = name_error(use_case)
    faults = [f"v{each.version} {each.error.describe()}" for each in (one, other) if each.error]
    difference = estimate_difference(one.error, other.error)
    return (
        f"{counts}; {name} of {difference.rows:,} outcomes: {', '.join(faults)},"
        f" difference {difference.describe()}"
    )


def name_error(use_case: UseCase) -> str:
    """What `TrialRows.error` is for a use case."""
    return "share of wrong answers" if use_case.label.classes else "mean absolute error"


def _select_rows(table: sa.Table, trial: ModelTrial) -> list[sa.ColumnElement[bool]]:
    """The rows of the trial's versions, in the channels in which it has them."""
    on_trial = table.c.channel == trial.challenger_channel
    conditions = [
        table.c.predicted_at >= to_naive_utc(trial.started_at),
        table.c.channel.in_({*TRAFFIC, trial.challenger_channel}),
        sa.or_(
            sa.and_(on_trial, table.c.model_version.in_(trial.versions_on_trial)),
            sa.and_(sa.not_(on_trial), table.c.model_version == trial.champion_version),
        ),
    ]
    if trial.ended_at is not None:
        conditions.append(table.c.predicted_at <= to_naive_utc(trial.ended_at))
    return conditions


def _select_errors(
    use_case: UseCase, trial: ModelTrial, table: sa.Table, where: Sequence[sa.ColumnElement[bool]]
) -> sa.Select[Any]:
    """Rows with an outcome by version, the mean and the standard deviation of their errors."""
    end = trial.ended_at or trial.ends_at
    outcomes = build_newest_outcomes(use_case, predicted=(trial.started_at, end))
    if use_case.label.classes:
        error: sa.ColumnElement[Any] = sa.case((table.c.prediction == outcomes.c.actual, 0.0), else_=1.0)
    else:
        error = sa.func.abs(table.c.prediction - outcomes.c.actual)
    on_trial = table.c.channel == trial.challenger_channel
    return (
        sa.select(
            on_trial, table.c.model_version, sa.func.count(), sa.func.avg(error), sa.func.stddev_pop(error)
        )
        .select_from(join_outcomes(table, outcomes))
        .where(*where, outcomes.c.actual.is_not(None))
        .group_by(on_trial, table.c.model_version)
    )
