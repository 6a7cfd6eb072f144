"""Quality: how good the champion's answers were where outcomes are known, and whether the answers have moved.

An outcome is learned in one of two ways. A request to `/feedback` names the prediction. An ingested label
names its entity and its event time, and judges the predictions for that entity from then until it is known
(`event_time <= predicted_at < event_time + delay`); of several labels the newest one. So a label without a
delay or without an event time judges none: either the outcome was known when the answer was given, or nobody
knows when it was true.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.model.reference_profile import PREDICTION, FeatureProfile, load_reference_profile
from evergreen.monitoring.drift.compare import compare_counts
from evergreen.store.connection.database import get_fast_engine
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.predictions.channels import TRAFFIC
from evergreen.store.predictions.outcomes import (
    build_newest_outcomes,
    count_orphan_outcomes,
    join_outcomes,
)
from evergreen.store.predictions.prediction_log import read_predictions
from evergreen.store.records.drift import DriftReport, Quality
from evergreen.store.tables import declared
from evergreen.store.tables.frames import read_frame
from evergreen.usecase import EVENT_TIME, UseCase

# An outcome may reach the store before its prediction does, which waits on a service's disk meanwhile.
_ON_THEIR_WAY = timedelta(hours=1)


def measure_prediction_quality(engine: sa.Engine, use_case: UseCase, report: DriftReport) -> Quality:
    """What the online predictions of a drift report's champion are worth, as of the report's moment.

    Answers count in two ways: those of the report's window, and those of any time whose outcome was learned
    in the last `drift.window`.
    """
    frame = read_predictions(engine, use_case, report.window_start, report.window_end)
    frame = frame[frame["model_version"] == report.model_version]
    reference = load_reference_profile(engine, use_case.name, report.model_version).get(PREDICTION)
    labelled = read_outcomes(engine, use_case, report.model_version, report.as_of)
    orphans = count_orphan_outcomes(engine, use_case, before=report.as_of - _ON_THEIR_WAY)
    return compute_quality(use_case, frame["prediction"].to_numpy(), labelled, reference, orphans)


def read_outcomes(engine: sa.Engine, use_case: UseCase, version: int, as_of: datetime) -> pd.DataFrame:
    """Columns `prediction` and `actual` of a version's answers to requests whose outcome was learned after
    `as_of - drift.window` and up to `as_of` (aware UTC).

    A label is learned when it is ingested, but not before its `event_time + delay`. An answer with feedback
    is not judged by a label.
    """
    since, until = as_of - use_case.drift.window, as_of
    log = declared.build_prediction_table(use_case)
    answers = sa.and_(
        log.c.model_version == version,
        log.c.channel.in_(TRAFFIC),
        log.c.predicted_at <= to_naive_utc(until),
    )
    learned = build_newest_outcomes(use_case, recorded_after=since, recorded_until=until)
    by_feedback = (
        sa.select(log.c.prediction, learned.c.actual)
        .select_from(join_outcomes(log, learned))
        .where(answers, learned.c.actual.is_not(None))
    )
    statements = [by_feedback]
    if use_case.label.event_time is not None and use_case.label.delay:
        statements.append(_select_by_label(use_case, log, answers, since, until))
    with get_fast_engine(engine).connect() as connection:
        frames = [read_frame(connection, statement, use_case) for statement in statements]
    return pd.concat(frames, ignore_index=True)


def _select_by_label(
    use_case: UseCase, log: sa.Table, answers: sa.ColumnElement[bool], after: datetime, as_of: datetime
) -> sa.Select[Any]:
    """Those of the `answers` without feedback that a label judges, as `prediction` and `actual`."""
    label, delay = declared.build_label_table(use_case), use_case.label.delay
    since, until = to_naive_utc(after), to_naive_utc(as_of)
    outcomes = build_newest_outcomes(use_case, recorded_until=as_of)
    event_time, ingested_at = label.c[EVENT_TIME], label.c[declared.INGESTED_AT]
    microseconds = delay // timedelta(microseconds=1)
    known_from = sa.func.timestampadd(sa.text("MICROSECOND"), microseconds, event_time)
    same_entity = (log.c[name] == label.c[name] for name in use_case.entity.key_names)
    newest = sa.func.row_number().over(
        partition_by=log.c.prediction_id, order_by=[event_time.desc(), ingested_at.desc()]
    )
    pairs = (
        sa.select(log.c.prediction, label.c[use_case.label.name].label("actual"), newest.label("newest"))
        .select_from(join_outcomes(log, outcomes).join(label, sa.and_(*same_entity)))
        .where(answers, outcomes.c.actual.is_(None), event_time <= log.c.predicted_at)
        .where(log.c.predicted_at < known_from, ingested_at <= until, event_time <= until - delay)
        .where(sa.or_(ingested_at > since, event_time > since - delay))
        .subquery()
    )
    return sa.select(pairs.c.prediction, pairs.c.actual).where(pairs.c.newest == 1)


def compute_quality(
    use_case: UseCase,
    answers: np.ndarray,
    labelled: pd.DataFrame,
    reference: FeatureProfile | None,
    orphans: int = 0,
) -> Quality:
    """The quality of the window's `answers`, an array of n classes or numbers.

    `labelled` has the answers with an outcome (columns `prediction`, `actual`), `reference` the profile of
    the answers on the hold-out; `orphans` is the number of ids with an outcome and no prediction.
    """
    metrics = _compute_metrics(use_case, labelled)
    prediction_psi = None
    if reference is not None and len(answers) >= use_case.drift.min_rows:
        prediction_psi = compare_counts(reference, reference.count(answers), use_case.drift).psi
    reason = _describe_quality(len(answers), len(labelled), metrics, prediction_psi)
    return Quality(
        predictions=len(answers),
        labelled=len(labelled),
        metrics=metrics,
        prediction_psi=prediction_psi,
        answers=_summarize_answers(use_case, answers),
        reason=reason + _describe_orphans(orphans),
        orphans=orphans,
    )


def _compute_metrics(use_case: UseCase, labelled: pd.DataFrame) -> dict[str, float | None]:
    if use_case.problem == "regression":
        if labelled.empty:
            return {"mae": None, "rmse": None}
        error = labelled["prediction"].to_numpy(np.float64) - labelled["actual"].to_numpy(np.float64)
        return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}
    if labelled.empty:
        return {"accuracy": None}
    return {"accuracy": float((labelled["prediction"] == labelled["actual"]).mean())}


def _summarize_answers(use_case: UseCase, answers: np.ndarray) -> dict[str, float]:
    """The share of each class among the answers, or their mean; {} without answers."""
    if not len(answers):
        return {}
    if use_case.problem == "regression":
        return {"mean": float(answers.astype(np.float64).mean())}
    return {name: float((answers == name).mean()) for name in use_case.label.classes}


def _describe_quality(
    predictions: int, labelled: int, metrics: Mapping[str, float | None], prediction_psi: float | None
) -> str:
    for name in ("accuracy", "mae"):
        value = metrics.get(name)
        if value is not None:
            return f"{name} {value:.4f} on {labelled:,} labelled predictions"
    if prediction_psi is None:
        return f"no verdict: no outcome was learned lately, and {predictions:,} answers are few"
    return f"no outcome was learned lately; PSI of the answers {prediction_psi:.2f}"


def _describe_orphans(orphans: int) -> str:
    if not orphans:
        return ""
    names = "an id names a prediction" if orphans == 1 else f"{orphans:,} ids name predictions"
    return f"; of the outcomes, {names} that the log does not have"
