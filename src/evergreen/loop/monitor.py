"""The verb monitor: measures drift and quality, and decides whether to retrain.

Each result is written once for a use case and a moment (`as_of`); a rerun of the moment returns what stands.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, TypedDict

from sqlalchemy import Engine

from evergreen.moments import refuse_future
from evergreen.monitoring.drift.report import build_drift_report
from evergreen.monitoring.governor.report_rule import apply_retrain_policy
from evergreen.monitoring.quality import measure_prediction_quality
from evergreen.registry.champion import require_champion
from evergreen.registry.champion_history import find_promotion_time
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.decision import (
    Decision,
    compute_decision_id,
    find_decision,
    find_last_retrain,
    save_decision,
)
from evergreen.store.records.drift import DriftReport, Quality, add_quality, find_report, save_report
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)


class DriftResult(TypedDict):
    """What `measure_drift` returns: the report's id, the number of predictions in its window, whether they
    drifted (None: no verdict) with the reason, the five largest PSI by feature, what rows were refused for
    meanwhile (the fields of `RefusedShare`), the severity ("none", "unknown", "warning" or "drift"), what
    reached the limits of a warning, and what could not be measured, in words."""

    drift_report: str
    model_version: int
    predictions: int
    drifted: bool | None
    reason: str
    largest_psi: dict[str, float]
    refused: list[dict[str, Any]]
    severity: str
    warnings: list[str]
    notes: list[str]


class QualityResult(TypedDict, total=False):
    """What `measure_quality` returns: the report's id, and the fields of `Quality`. Of the metrics it has
    `accuracy`, or `mae` and `rmse`."""

    drift_report: str
    predictions: int
    labelled: int
    accuracy: float | None
    mae: float | None
    rmse: float | None
    prediction_psi: float | None
    answers: dict[str, float]
    reason: str
    orphans: int | None


class DecisionResult(TypedDict):
    """What `decide_retraining` returns."""

    retrain: bool
    reason: str
    drift_report: str | None


class MonitorResult(TypedDict):
    """What `run_monitor` returns."""

    drift: DriftResult
    quality: QualityResult
    retrain: bool
    reason: str


def measure_drift(settings: Settings, use_case: str, as_of: datetime) -> DriftResult:
    """Compare the predictions since the last verdict with the champion's training data.

    A change of the champion that was made by hand is first written to the ledger. Raises NoChampion,
    StoreError for a champion without a reference profile, and SettingsError for a future `as_of`.
    """
    database = get_engine(settings)
    reconcile_ledger(settings, database, use_case)
    report = _find_or_measure_report(settings, database, use_case, as_of)
    logger.info("%s", report.reason)
    for line in (*report.warnings, *report.notes):
        logger.warning("%s", line)
    return DriftResult(
        drift_report=report.id,
        model_version=report.model_version,
        predictions=report.row_count,
        drifted=report.drifted,
        reason=report.reason,
        largest_psi=dict(report.largest_psi),
        refused=[dict(share.to_json()) for share in report.refused],
        severity=report.severity,
        warnings=list(report.warnings),
        notes=list(report.notes),
    )


def measure_quality(settings: Settings, use_case: str, as_of: datetime) -> QualityResult:
    """Measure what the champion's answers were worth, as far as their outcomes are known; the result is added
    to the drift report of the moment.

    Judged are the answers whose outcome was learned in the last `drift.window`, however old they are. Raises
    what `measure_drift` raises.
    """
    database = get_engine(settings)
    report = _find_or_measure_report(settings, database, use_case, as_of)
    quality = report.quality
    if quality is None:
        declared = load_use_case(use_case, settings)
        update_prediction_tables(database, declared)
        quality = measure_prediction_quality(database, declared, report)
        add_quality(database, report, quality)
    logger.info("%s", quality.reason)
    return _build_quality_result(report, quality)


def decide_retraining(settings: Settings, use_case: str, as_of: datetime) -> DecisionResult:
    """Decide whether to retrain, and record the decision with its reason, also when it is "no, because ...".

    Raises what `measure_drift` raises.
    """
    database = get_engine(settings)
    decision = find_decision(database, use_case, as_of)
    if decision is None:
        report = _find_or_measure_report(settings, database, use_case, as_of)
        last_retrain = find_last_retrain(database, use_case, before=as_of)
        answer = apply_retrain_policy(
            load_use_case(use_case, settings).retrain,
            report,
            as_of,
            promoted_at=find_promotion_time(database, use_case, report.model_version),
            last_retrain=last_retrain.as_of if last_retrain else None,
        )
        decision = save_decision(
            database,
            Decision(
                id=compute_decision_id(use_case, as_of),
                use_case=use_case,
                as_of=as_of,
                retrain=answer.retrain,
                reason=answer.reason,
                drift_report_id=report.id,
                created_at=datetime.now(UTC),
            ),
        )
    logger.info("retrain: %s", decision.reason)
    return DecisionResult(
        retrain=decision.retrain, reason=decision.reason, drift_report=decision.drift_report_id
    )


def run_monitor(settings: Settings, use_case: str, as_of: datetime) -> MonitorResult:
    """Measure drift, measure quality and decide, in this order. Raises what `measure_drift` raises."""
    drift = measure_drift(settings, use_case, as_of)
    quality = measure_quality(settings, use_case, as_of)
    decision = decide_retraining(settings, use_case, as_of)
    return MonitorResult(drift=drift, quality=quality, retrain=decision["retrain"], reason=decision["reason"])


def _find_or_measure_report(
    settings: Settings, database: Engine, use_case: str, as_of: datetime
) -> DriftReport:
    """The drift report of (use_case, as_of); measured and saved where there is none yet."""
    report = find_report(database, use_case, as_of)
    if report is None:
        refuse_future(as_of)
        champion, declared = require_champion(settings, use_case), load_use_case(use_case, settings)
        # Neither an ingest nor a service of this version need have been there yet.
        update_prediction_tables(database, declared)
        report = build_drift_report(database, declared, champion, as_of)
        report = save_report(database, report)
    return report


def _build_quality_result(report: DriftReport, quality: Quality) -> QualityResult:
    result = QualityResult(drift_report=report.id, predictions=quality.predictions, labelled=quality.labelled)
    if "accuracy" in quality.metrics:
        result["accuracy"] = quality.metrics["accuracy"]
    if "mae" in quality.metrics:
        result["mae"] = quality.metrics["mae"]
    if "rmse" in quality.metrics:
        result["rmse"] = quality.metrics["rmse"]
    result["prediction_psi"] = quality.prediction_psi
    result["answers"] = dict(quality.answers)
    result["reason"] = quality.reason
    result["orphans"] = quality.orphans
    return result
