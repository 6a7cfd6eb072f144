"""Monitor: drift → quality → governor. Written once per (use case, as_of); a rerun finds what was written."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evergreen.moments import refuse_future
from evergreen.settings import Settings
from evergreen.usecases import load_use_case

if TYPE_CHECKING:
    from evergreen.store.records.drift import DriftReport

logger = logging.getLogger(__name__)


def measure_drift(settings: Settings, use_case: str, as_of: datetime) -> dict[str, Any]:
    """Compare the predictions since the last verdict with the champion's training data.

    Returns {"drift_report", "model_version", "predictions", "drifted" (None: no verdict), "reason",
    "largest_psi" (the five greatest by feature)}. A champion that was set by hand is written down first.
    Raises NoChampion.
    """
    from evergreen.registry.reconcile import reconcile_ledger
    from evergreen.store.connection.database import get_engine
    from evergreen.store.tables.partitions import maintain_partitions
    from evergreen.store.tables.retention import prune_history

    declared, database = load_use_case(use_case, settings), get_engine(settings)
    reconcile_ledger(settings, database, use_case)
    made = _find_or_measure_report(settings, use_case, as_of)
    maintain_partitions(database, declared, as_of)
    prune_history(database, declared, settings.history_days, as_of)
    logger.info("%s", made.reason)
    return {
        "drift_report": made.id,
        "model_version": made.model_version,
        "predictions": made.row_count,
        "drifted": made.drifted,
        "reason": made.reason,
        "largest_psi": dict(made.largest_psi),
    }


def measure_quality(settings: Settings, use_case: str, as_of: datetime) -> dict[str, Any]:
    """What the champion's answers were worth, as far as it has become known; kept in the drift report.

    Judged are the answers whose outcome was learned in the last `drift.window`, however old they are. Returns
    {"drift_report", "predictions", "labelled", "accuracy" or "mae" and "rmse", "prediction_psi", "answers",
    "reason"}. Raises NoChampion.
    """
    from evergreen.monitoring.quality import measure_prediction_quality as measure
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.drift import add_quality

    database = get_engine(settings)
    report = _find_or_measure_report(settings, use_case, as_of)
    quality = report.quality
    if quality is None:
        quality = measure(database, load_use_case(use_case, settings), report)
        add_quality(database, report, quality)
    logger.info("%s", quality.reason)
    return {"drift_report": report.id, **quality.to_json()}


def decide_retraining(settings: Settings, use_case: str, as_of: datetime) -> dict[str, Any]:
    """Decide whether to retrain, and record the decision with its reason, also when it is "no, because ...".

    Returns {"retrain", "reason", "drift_report"}. Raises NoChampion.
    """
    from evergreen.monitoring.governor import apply_retrain_policy
    from evergreen.registry.champion_history import find_promotion_time
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.decision import (
        Decision,
        compute_decision_id,
        find_decision,
        find_last_retrain,
        save_decision,
    )

    database = get_engine(settings)
    decision = find_decision(database, use_case, as_of)
    if decision is None:
        made = _find_or_measure_report(settings, use_case, as_of)
        last = find_last_retrain(database, use_case, before=as_of)
        retrain, reason = apply_retrain_policy(
            load_use_case(use_case, settings).retrain,
            made,
            as_of,
            promoted_at=find_promotion_time(database, use_case, made.model_version),
            last_retrain=last.as_of if last else None,
        )
        decision = save_decision(
            database,
            Decision(
                id=compute_decision_id(use_case, as_of),
                use_case=use_case,
                as_of=as_of,
                retrain=retrain,
                reason=reason,
                drift_report_id=made.id,
                created_at=datetime.now(UTC),
            ),
        )
    logger.info("retrain: %s", decision.reason)
    return {
        "retrain": decision.retrain,
        "reason": decision.reason,
        "drift_report": decision.drift_report_id,
    }


def run_monitor(settings: Settings, use_case: str, as_of: datetime) -> dict[str, Any]:
    """All three in order: {"drift", "quality", "retrain", "reason"}."""
    results: dict[str, Any] = {"drift": measure_drift(settings, use_case, as_of)}
    results["quality"] = measure_quality(settings, use_case, as_of)
    decision = decide_retraining(settings, use_case, as_of)
    return {**results, "retrain": decision["retrain"], "reason": decision["reason"]}


def _find_or_measure_report(settings: Settings, use_case: str, as_of: datetime) -> DriftReport:
    """The drift report of (use_case, as_of), measured now if nobody has."""
    from evergreen.monitoring.drift import build_drift_report
    from evergreen.registry.champion import require_champion
    from evergreen.store.connection.database import get_engine
    from evergreen.store.records.drift import find_report, save_report

    declared = load_use_case(use_case, settings)
    database = get_engine(settings)
    found = find_report(database, use_case, as_of)
    if found is None:
        refuse_future(as_of)
        champion = require_champion(settings, use_case)
        found = save_report(database, build_drift_report(database, declared, champion, as_of))
    return found
