"""Realised quality as evidence: what each check learned of the champion's answers, a point per check.

The points of earlier checks are in the inputs of their decisions, so that each check reads only the outcomes
that came since the one before.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import sqlalchemy as sa

from evergreen.monitoring.governor.inputs import GovernorInputs, QualityPoint, RealisedEvidence
from evergreen.monitoring.quality import read_outcomes
from evergreen.store.records.training_run import TrainingRun
from evergreen.usecase import UseCase

# A year of daily checks has more; what is older than this was judged long ago.
_MOST_POINTS = 150


def collect_realised_evidence(
    engine: sa.Engine,
    use_case: UseCase,
    version: int,
    run: TrainingRun | None,
    promoted_at: datetime | None,
    previous: GovernorInputs | None,
    as_of: datetime,
) -> RealisedEvidence | None:
    """The evidence of a version that `run` trained, up to a moment (aware); None where the training left no
    figure to compare with. `previous` are the inputs of the last decision on the same version."""
    reference = build_reference_point(use_case, run)
    if reference is None:
        return None
    points: tuple[QualityPoint, ...] = ()
    since = promoted_at or as_of - use_case.drift.window
    if previous is not None and previous.champion == version and previous.realised is not None:
        points, since = previous.realised.points, max(since, previous.as_of)
    if since < as_of:
        # `read_outcomes` reads what was learned in the last `drift.window`.
        window = replace(use_case, drift=replace(use_case.drift, window=as_of - since))
        point = build_quality_point(use_case, read_outcomes(engine, window, version, as_of), since, as_of)
        points = (*points, *([point] if point else ()))
    is_number = use_case.problem == "regression"
    return RealisedEvidence("mae" if is_number else "accuracy", is_number, reference, points[-_MOST_POINTS:])


def build_reference_point(use_case: UseCase, run: TrainingRun | None) -> QualityPoint | None:
    """What the candidate of a training was worth on its hold-out."""
    if run is None or run.metrics is None:
        return None
    metrics, rows = run.metrics.get("candidate", {}), int(run.metrics.get("holdout_rows") or 0)
    if use_case.problem == "regression":
        value, root = metrics.get("mae"), metrics.get("rmse")
        deviation = math.sqrt(max(0.0, root**2 - value**2)) if None not in (value, root) else 0.0
    else:
        value = metrics.get("accuracy")
        deviation = math.sqrt(value * (1.0 - value)) if value is not None else 0.0
    if value is None or rows < 1:
        return None
    return QualityPoint(run.as_of, run.as_of, rows, float(value), deviation)


def build_quality_point(
    use_case: UseCase, outcomes: pd.DataFrame, start: datetime, end: datetime
) -> QualityPoint | None:
    """The mean of the metric over answers with outcomes (columns `prediction` and `actual`); None without
    any."""
    if outcomes.empty:
        return None
    if use_case.problem == "regression":
        values = np.abs(outcomes["prediction"].to_numpy(np.float64) - outcomes["actual"].to_numpy(np.float64))
    else:
        values = (outcomes["prediction"] == outcomes["actual"]).to_numpy(np.float64)
    return QualityPoint(start, end, len(values), float(values.mean()), float(values.std()))
