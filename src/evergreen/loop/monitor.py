"""The verb monitor: measures drift, quality and health, decides whether to retrain, and tells people.

Each result is written once for a use case and a moment (`as_of`); a rerun of the moment returns what stands.
What people are told is in `monitoring/alerts.py`, the health of data and service in `monitoring/health.py`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TypedDict

from sqlalchemy import Engine

from evergreen.documents import JsonObject, write_document
from evergreen.loop.monitoring.alerts import AlertResult, tell_people
from evergreen.loop.monitoring.check_report import publish_report
from evergreen.loop.monitoring.health import HealthResult, measure_health
from evergreen.moments import refuse_future
from evergreen.monitoring.drift.report import build_drift_report
from evergreen.monitoring.evidence.collect import collect_governor_inputs
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.quality import measure_prediction_quality
from evergreen.registry.champion import require_champion
from evergreen.registry.reconcile import reconcile_ledger
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.decision import (
    Decision,
    DecisionCheck,
    compute_decision_id,
    find_decision,
    lock_decisions,
    save_decision,
)
from evergreen.store.records.checks.drift import DriftReport, Quality, add_quality, find_report, save_report
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
    refused: list[JsonObject]
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
    """What `decide_retraining` returns: the answer, the name of the trigger that fired ("" for none), and the
    ids of the decision and of the check."""

    retrain: bool
    reason: str
    trigger: str
    decision: str
    drift_report: str | None


class MonitorResult(TypedDict):
    """What `run_monitor` returns."""

    drift: DriftResult
    quality: QualityResult
    health: HealthResult
    retrain: bool
    reason: str
    alerts: list[str]
    report: str


def measure_drift(settings: Settings, use_case_name: str, as_of: datetime) -> DriftResult:
    """Compare the predictions since the last verdict with the champion's training data.

    A change of the champion that was made by hand is first written to the ledger. Raises NoChampion,
    StoreError for a champion without a reference profile, and SettingsError for a future `as_of`.
    """
    database = get_engine(settings)
    apply_migrations(database)
    reconcile_ledger(settings, database, use_case_name)
    report = _find_or_measure_report(settings, database, use_case_name, as_of)
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
        refused=[write_document(share) for share in report.refused],
        severity=report.severity,
        warnings=list(report.warnings),
        notes=list(report.notes),
    )


def measure_quality(settings: Settings, use_case_name: str, as_of: datetime) -> QualityResult:
    """Measure what the champion's answers were worth, as far as their outcomes are known; the result is added
    to the drift report of the moment.

    Judged are the answers whose outcome was learned in the last `drift.window`, however old they are. Raises
    what `measure_drift` raises.
    """
    database = get_engine(settings)
    report = _find_or_measure_report(settings, database, use_case_name, as_of)
    quality = report.quality
    if quality is None:
        use_case = load_use_case(use_case_name, settings)
        update_prediction_tables(database, use_case)
        quality = measure_prediction_quality(database, use_case, report)
        add_quality(database, report, quality)
    logger.info("%s", quality.reason)
    return _build_quality_result(report, quality)


def decide_retraining(settings: Settings, use_case_name: str, as_of: datetime) -> DecisionResult:
    """Decide whether to retrain, and record the decision with its inputs and its reason, also when it is "no,
    because ...".

    Raises what `measure_drift` raises.
    """
    database = get_engine(settings)
    decision = find_decision(database, use_case_name, as_of)
    if decision is None:
        report = _find_or_measure_report(settings, database, use_case_name, as_of)
        with lock_decisions(database, use_case_name):
            decision = _decide(settings, database, report)
    logger.info("retrain: %s", decision.reason)
    return DecisionResult(
        retrain=decision.retrain,
        reason=decision.reason,
        trigger=decision.trigger or "",
        decision=decision.id,
        drift_report=decision.drift_report_id,
    )


def run_monitor(settings: Settings, use_case_name: str, as_of: datetime) -> MonitorResult:
    """Measure drift, quality and health, decide, tell people, and publish the report, in this order.

    `report` is the report's address in MLflow, or the command that shows it where MLflow does not have it.
    Raises what `measure_drift` raises; a target of alerts that is down, and an MLflow that is away once
    everything is decided, are only logged.
    """
    drift = measure_drift(settings, use_case_name, as_of)
    quality = measure_quality(settings, use_case_name, as_of)
    health = measure_health(settings, use_case_name, as_of)
    decision = decide_retraining(settings, use_case_name, as_of)
    alerts: AlertResult = tell_people(settings, use_case_name, as_of)
    report = publish_report(settings, use_case_name, as_of)
    return MonitorResult(
        drift=drift,
        quality=quality,
        health=health,
        retrain=decision["retrain"],
        reason=decision["reason"],
        alerts=alerts["alerts"],
        report=report["address"] or report["command"],
    )


def _decide(settings: Settings, database: Engine, report: DriftReport) -> Decision:
    use_case, now = load_use_case(report.use_case, settings), datetime.now(UTC)
    inputs = collect_governor_inputs(
        database, use_case, report.model_version, report.as_of, now=now, report=report
    )
    answer = decide(use_case.retrain, inputs)
    return save_decision(
        database,
        Decision(
            id=compute_decision_id(report.use_case, report.as_of),
            use_case=report.use_case,
            as_of=report.as_of,
            retrain=answer.retrain,
            reason=answer.reason,
            drift_report_id=report.id,
            created_at=now,
            trigger=answer.trigger,
            inputs=inputs.to_json(),
            checks=tuple(DecisionCheck(**vars(check)) for check in answer.checks),
            window=answer.window.to_json() if answer.window else None,
        ),
    )


def _find_or_measure_report(
    settings: Settings, database: Engine, use_case_name: str, as_of: datetime
) -> DriftReport:
    """The drift report of (use_case, as_of); measured and saved where there is none yet."""
    report = find_report(database, use_case_name, as_of)
    if report is None:
        refuse_future(as_of)
        champion, use_case = require_champion(settings, use_case_name), load_use_case(use_case_name, settings)
        # Neither an ingest nor a service of this version need have been there yet.
        update_prediction_tables(database, use_case)
        report = build_drift_report(database, use_case, champion, as_of)
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
