"""Realised quality as evidence: what each check learned of the champion's answers, a point per check.

The points of earlier checks are in the inputs of their decisions, so that each check reads only the outcomes
that came since the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from evergreen.documents import read_document
from evergreen.model.error_profile.store import load_error_profile
from evergreen.model.judging.metrics import ReliabilityBin
from evergreen.monitoring.governor.inputs import GovernorInputs, QualityPoint, RealisedEvidence
from evergreen.monitoring.quality.labelled_rows import (
    LabelledSelection,
    bound_selection,
    select_labelled_rows,
)
from evergreen.monitoring.quality.learned import LearnedQuality, measure_learned_quality
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.records.training_run import TrainingRun
from evergreen.usecase import UseCase

# A year of daily checks has more; what is older than this was judged long ago.
_MOST_POINTS = 150


@dataclass(frozen=True)
class _RecordedCalibration:
    """Of `training.judge.calibration_effect.CalibrationEffect` the reliability diagram."""

    bins: tuple[ReliabilityBin, ...] | None = None


@dataclass(frozen=True)
class _RecordedEvaluation:
    """Of a training run's document `metrics` (`training.judge.evaluation.Evaluation`) the calibration."""

    calibration: _RecordedCalibration | None = None


def collect_realised_evidence(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    run: TrainingRun | None,
    promoted_at: datetime | None,
    previous: GovernorInputs | None,
    as_of: datetime,
) -> RealisedEvidence | None:
    """The evidence of a version that `run` trained, up to a moment (aware); None where neither its training
    nor an outcome tells anything. `previous` are the inputs of an earlier decision that measured the same
    version.

    Losses of numbers are in units of the standard deviation of the label on the hold-out.
    """
    points: tuple[QualityPoint, ...] = ()
    since = promoted_at or as_of - use_case.drift.window
    if previous is not None and previous.champion == version and previous.realised is not None:
        points, since = previous.realised.points, max(since, previous.as_of)
    since = min(since, as_of)
    # Bounded once for both statements: that reads the whole table of labels.
    selection = LabelledSelection(known_at=as_of, learned_after=since, version=version)
    selection = bound_selection(engine, use_case, selection)
    learned = measure_learned_quality(engine, use_case, version, selection)
    scale = find_label_scale(engine, use_case, version)
    expected = compute_expected_value(learned.metric, _read_confidence_bins(run))
    reference = build_reference_point(learned, expected, scale, run.as_of if run else as_of)
    if learned.rows and learned.value is not None:
        span = _read_span(engine, use_case, learned.metric, selection)
        start, end, hoped = span or (since, as_of, None)
        # Where the hold-out's expected value is not known, how sure of itself the model is would be taken
        # for a drop.
        hoped = hoped if expected is not None else None
        value, deviation = learned.value / scale, (learned.deviation or 0.0) / scale
        points = (*points, QualityPoint(start, end, learned.rows, value, deviation, hoped))
    if reference is None and not points:
        return None
    return RealisedEvidence(learned.metric, learned.less_is_better, reference, points[-_MOST_POINTS:])


def find_label_scale(engine: sa.Engine, use_case: UseCase, version: int) -> float:
    """What losses are divided by: for numbers the label's standard deviation on the hold-out, else 1."""
    if use_case.problem != "regression":
        return 1.0
    profile = load_error_profile(engine, use_case.name, version)
    deviation = profile.deviations.get("label", 0.0) if profile is not None else 0.0
    return deviation if deviation > 0.0 else 1.0


def build_reference_point(
    learned: LearnedQuality, expected: float | None, scale: float, trained_at: datetime
) -> QualityPoint | None:
    """What the version was worth on its hold-out; None where no profile of its errors is kept."""
    if learned.reference is None or not learned.reference_rows:
        return None
    return QualityPoint(
        trained_at,
        trained_at,
        learned.reference_rows,
        learned.reference / scale,
        (learned.reference_deviation or 0.0) / scale,
        expected,
    )


def compute_expected_value(metric: str, bins: Sequence[ReliabilityBin]) -> float | None:
    """What a model's own confidence leads one to expect of a metric, from the rows and the mean confidence of
    each bin of a reliability diagram; None for other metrics, and without rows."""
    expectation = _EXPECTATIONS.get(metric)
    rows = sum(each["rows"] for each in bins)
    if expectation is None or not rows:
        return None
    return float(sum(expectation(each["confidence"]) * each["rows"] for each in bins) / rows)


def _read_span(
    engine: sa.Engine, use_case: UseCase, metric: str, selection: LabelledSelection
) -> tuple[datetime, datetime, float | None] | None:
    """Of the selected answers: when the first (exclusive) and the last were given, and what the model's
    confidence leads one to expect of the metric, None for a metric without an expectation. None without
    answers."""
    rows = select_labelled_rows(use_case, selection, ["prediction", "probability", "predicted_at"])
    c = rows.c
    expectation = _EXPECTATIONS.get(metric)
    value = sa.null() if expectation is None else sa.func.avg(expectation(c.probability))
    statement = sa.select(sa.func.min(c.predicted_at), sa.func.max(c.predicted_at), value)
    with get_fast_engine(engine).connect() as connection:
        spans = execute_if_table_exists(connection, statement)
    if not spans or spans[0][0] is None:
        return None
    first, last, expected = spans[0]
    start = to_aware_utc(first) - timedelta(microseconds=1)
    return start, to_aware_utc(last), None if expected is None else float(expected)


def _read_confidence_bins(run: TrainingRun | None) -> Sequence[ReliabilityBin]:
    """The reliability diagram of a training's hold-out; () where it has none."""
    if run is None:
        return ()
    calibration = read_document(_RecordedEvaluation, run.metrics or {}).calibration
    return (calibration.bins if calibration else None) or ()


def _expect_accuracy(confidence: Any) -> Any:
    return confidence


def _expect_brier(confidence: Any) -> Any:
    return confidence * (1.0 - confidence)


# By metric, its expected value for a row whose predicted class has that probability (a number, or a column).
_EXPECTATIONS = {"accuracy": _expect_accuracy, "brier": _expect_brier}
