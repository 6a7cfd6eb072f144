"""Quality of a monitoring window: how good the champion's answers were where outcomes are known, how good
they are likely to be where not, and whether the answers have moved.

MariaDB counts; no row of the log is read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from evergreen.model.reference_profile import PREDICTION, FeatureProfile, load_reference_profile
from evergreen.monitoring.counts.bin_codes import build_bin_digit
from evergreen.monitoring.drift.compare import compare_counts
from evergreen.monitoring.quality.estimated import estimate_window_quality
from evergreen.monitoring.quality.labelled_rows import (
    LabelledSelection,
    bound_selection,
    select_labelled_rows,
)
from evergreen.monitoring.quality.outcome_faults import OutcomeFaults, count_outcome_faults
from evergreen.monitoring.quality.realised import measure_realised_quality
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.records.checks.drift import DriftReport, Quality
from evergreen.store.records.checks.quality_metric import EstimatedQuality
from evergreen.store.tables import declared
from evergreen.usecase import UseCase


@dataclass(frozen=True)
class AnswerCounts:
    """The answers of a window: their number, by class, or the mean of numbers (None without any).

    `by_bin` are counts by the bins of the reference profile of the answers, () where there is none.
    """

    total: int = 0
    classes: Mapping[str, int] | None = None
    mean: float | None = None
    by_bin: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabelledCounts:
    """Answers whose outcome was learned: their number, and the mean of right ones, or of the absolute and of
    the squared errors of numbers; None without any."""

    total: int = 0
    accuracy: float | None = None
    absolute_error: float | None = None
    squared_error: float | None = None


def measure_prediction_quality(engine: sa.Engine, use_case: UseCase, report: DriftReport) -> Quality:
    """What the online predictions of a drift report's champion are worth, as of the report's moment.

    Answers count in two ways: those of the report's window, and those of any time whose outcome was learned
    in the last `drift.window`. The metrics per day in `quality_metric` are brought up to date.
    """
    profiles = load_reference_profile(engine, use_case.name, report.model_version)
    since = report.as_of - use_case.drift.window
    reference = profiles.get(PREDICTION)
    measure_realised_quality(engine, use_case, report.as_of, profiles)
    return compute_quality(
        use_case,
        count_answers(engine, use_case, report, reference),
        count_labelled(engine, use_case, report.model_version, since, report.as_of),
        reference,
        count_outcome_faults(engine, use_case, since, report.as_of),
        estimate_window_quality(engine, use_case, report, profiles),
    )


def compute_quality(
    use_case: UseCase,
    answers: AnswerCounts,
    labelled: LabelledCounts,
    reference: FeatureProfile | None,
    faults: OutcomeFaults | None = None,
    estimated: EstimatedQuality | None = None,
) -> Quality:
    """The quality of the window's answers; `reference` is the profile of the answers on the hold-out."""
    metrics = _compute_metrics(use_case, labelled)
    prediction_psi = None
    if reference is not None and answers.total >= use_case.drift.min_rows and answers.by_bin:
        counts = np.array(answers.by_bin, dtype=np.int64)
        prediction_psi = compare_counts(reference, counts, use_case.drift).psi
    faults = faults or OutcomeFaults()
    notes = faults.describe()
    reason = _describe_quality(answers.total, labelled.total, metrics, prediction_psi, estimated)
    return Quality(
        predictions=answers.total,
        labelled=labelled.total,
        metrics=metrics,
        prediction_psi=prediction_psi,
        answers=_summarize_answers(use_case, answers),
        reason="; ".join([reason, *notes]),
        orphans=faults.orphans,
        estimated=estimated,
        notes=notes,
    )


def count_answers(
    engine: sa.Engine, use_case: UseCase, report: DriftReport, reference: FeatureProfile | None
) -> AnswerCounts:
    """The answers of the report's champion in its window."""
    log = declared.build_prediction_table(use_case)
    place = build_bin_digit(log, reference).value if reference is not None else sa.literal(-1)
    is_number = use_case.problem == "regression"
    answer = sa.literal("") if is_number else log.c.prediction
    inner = (
        sa.select(place.label("place"), answer.label("answer"), log.c.prediction.label("number"))
        .where(
            log.c.model_version == report.model_version,
            log.c.channel.in_(TRAFFIC),
            log.c.predicted_at > to_naive_utc(report.window_start),
            log.c.predicted_at <= to_naive_utc(report.window_end),
        )
        .subquery("answered")
    )
    total = sa.func.sum(inner.c.number) if is_number else sa.null()
    statement = sa.select(inner.c.place, inner.c.answer, sa.func.count(), total).group_by(
        inner.c.place, inner.c.answer
    )
    with get_fast_engine(engine).connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    count = sum(int(row[2]) for row in rows)
    by_bin = [0] * len(reference.counts) if reference is not None else []
    for row in rows:
        if by_bin:
            by_bin[int(row[0])] += int(row[2])
    if is_number:
        mean = math.fsum(float(row[3]) for row in rows) / count if count else None
        return AnswerCounts(count, None, mean, tuple(by_bin))
    classes: dict[str, int] = {}
    for row in rows:
        classes[str(row[1])] = classes.get(str(row[1]), 0) + int(row[2])
    return AnswerCounts(count, classes, None, tuple(by_bin))


def count_labelled(
    engine: sa.Engine, use_case: UseCase, version: int, after: datetime, until: datetime
) -> LabelledCounts:
    """A version's answers of any time whose outcome was learned after a moment and up to another one."""
    selection = LabelledSelection(known_at=until, learned_after=after, version=version)
    selection = bound_selection(engine, use_case, selection)
    rows = select_labelled_rows(use_case, selection, ["prediction"])
    values: Sequence[sa.ColumnElement[Any]]
    if use_case.problem == "regression":
        error = rows.c.prediction - rows.c.actual
        values = (sa.func.avg(sa.func.abs(error)), sa.func.avg(error * error))
    else:
        values = (sa.func.avg(sa.case((rows.c.prediction == rows.c.actual, 1.0), else_=0.0)),)
    with get_fast_engine(engine).connect() as connection:
        totals = execute_if_table_exists(connection, sa.select(sa.func.count(), *values).select_from(rows))
    if not totals or not totals[0][0]:
        return LabelledCounts()
    count, *means = totals[0]
    if use_case.problem == "regression":
        return LabelledCounts(int(count), None, float(means[0]), float(means[1]))
    return LabelledCounts(int(count), float(means[0]))


def _compute_metrics(use_case: UseCase, labelled: LabelledCounts) -> dict[str, float | None]:
    if use_case.problem == "regression":
        square = labelled.squared_error
        return {"mae": labelled.absolute_error, "rmse": None if square is None else math.sqrt(square)}
    return {"accuracy": labelled.accuracy}


def _summarize_answers(use_case: UseCase, answers: AnswerCounts) -> dict[str, float]:
    """The share of each class among the answers, or their mean; {} without answers."""
    if not answers.total:
        return {}
    if answers.mean is not None:
        return {"mean": answers.mean}
    classes = answers.classes or {}
    return {name: classes.get(name, 0) / answers.total for name in use_case.label.classes}


def _describe_quality(
    predictions: int,
    labelled: int,
    metrics: Mapping[str, float | None],
    prediction_psi: float | None,
    estimated: EstimatedQuality | None,
) -> str:
    estimate = _describe_estimate(estimated)
    for name in ("accuracy", "mae"):
        value = metrics.get(name)
        if value is not None:
            return f"{name} {value:.4f} on {labelled:,} labelled predictions{estimate}"
    if prediction_psi is None:
        return f"no verdict: no outcome was learned lately, and {predictions:,} answers are few{estimate}"
    return f"no outcome was learned lately; PSI of the answers {prediction_psi:.2f}{estimate}"


def _describe_estimate(estimated: EstimatedQuality | None) -> str:
    if estimated is None or not estimated.estimates:
        return ""
    first = estimated.estimates[0]
    word = {True: "trusted", False: "not trusted", None: "trust not yet known"}[estimated.trusted]
    return (
        f"; estimated without outcomes: {first.metric} {first.value:.4f}"
        f" ({first.low:.4f} to {first.high:.4f}), {word}"
    )
