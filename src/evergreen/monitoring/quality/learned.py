"""The mean loss or success of answers whose outcome was learned in an interval: a point of a sequence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from evergreen.model.error_profile.profile import ErrorProfile
from evergreen.model.error_profile.store import load_error_profile
from evergreen.monitoring.quality.labelled_rows import (
    LabelledSelection,
    select_labelled_rows,
)
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.usecase import UseCase

_LEAST = 1e-15
_ROW_METRICS = ("accuracy", "log_loss", "brier", "mae")


@dataclass(frozen=True)
class LearnedQuality:
    """The mean of a value per row, over the `rows` whose outcome was learned in an interval.

    `deviation` is the value's standard deviation over single rows; both are None without rows. The
    `reference` is that of the hold-out of the version's training: mean, rows and deviation; None for a
    version that has no error profile. `scale` is the standard deviation of the hold-out's labels, for
    numbers: a difference of errors by it says how much it matters.
    """

    metric: str
    less_is_better: bool
    rows: int
    value: float | None
    deviation: float | None
    reference: float | None = None
    reference_rows: int | None = None
    reference_deviation: float | None = None
    scale: float | None = None


def choose_row_metric(use_case: UseCase) -> str:
    """The metric among those that are means of a value per row which is next to the gate's.

    Areas under curves go by the Brier score for two classes: both judge probabilities.
    """
    if use_case.problem == "regression":
        return "mae"
    if use_case.problem == "multiclass":
        return "accuracy"
    metric = use_case.gate.metric
    if metric in _ROW_METRICS:
        return metric
    return "brier" if metric in ("roc_auc", "pr_auc", "calibration_error") else "accuracy"


def measure_learned_quality(
    engine: sa.Engine, use_case: UseCase, version: int, selection: LabelledSelection
) -> LearnedQuality:
    """The answers of a version whose outcome was learned lately: `selection` is of that version, and
    bounded (`bound_selection`)."""
    metric = choose_row_metric(use_case)
    rows = select_labelled_rows(use_case, selection, ["prediction", "probability"])
    value = build_row_value(metric, use_case, rows)
    inner = sa.select(value.label("value")).subquery("valued")
    statement = sa.select(
        sa.func.count(inner.c.value), sa.func.avg(inner.c.value), sa.func.stddev_pop(inner.c.value)
    )
    with get_fast_engine(engine).connect() as connection:
        groups = execute_if_table_exists(connection, statement)
    count, mean, deviation = groups[0] if groups else (0, None, None)
    profile = load_error_profile(engine, use_case.name, version)
    reference, reference_deviation = _find_reference(metric, profile)
    return LearnedQuality(
        metric=metric,
        less_is_better=metric != "accuracy",
        rows=int(count),
        value=None if mean is None else float(mean),
        deviation=None if deviation is None else float(deviation),
        reference=reference,
        reference_rows=profile.rows if profile is not None else None,
        reference_deviation=reference_deviation,
        scale=profile.deviations.get("label") if profile is not None else None,
    )


def build_row_value(metric: str, use_case: UseCase, rows: sa.FromClause) -> sa.ColumnElement[Any]:
    """The value of each row of which a metric of `choose_row_metric` is the mean; `rows` have `actual`."""
    c = rows.c
    if metric == "mae":
        return sa.func.abs(c.prediction - c.actual)
    is_right = c.prediction == c.actual
    if metric == "accuracy":
        return sa.case((is_right, 1.0), else_=0.0)
    # The probability that was given to what really happened, in a problem of two classes.
    probability = sa.case((is_right, c.probability), else_=1.0 - c.probability)
    if metric == "brier":
        return (1.0 - probability) * (1.0 - probability)
    return -sa.func.ln(sa.func.greatest(probability, _LEAST))


def _find_reference(metric: str, profile: ErrorProfile | None) -> tuple[float | None, float | None]:
    if profile is None or metric not in profile.reference:
        return None, None
    value = profile.reference[metric]
    if metric == "accuracy":
        return value, math.sqrt(max(0.0, value * (1.0 - value)))
    return value, profile.deviations.get(metric)
