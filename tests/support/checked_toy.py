"""A check of the toy with everything that a check leaves behind, and predictions in its log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from uuid_utils import uuid7

from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_id import parse_prediction_time
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.decision import Decision, compute_decision_id, save_decision
from evergreen.store.records.checks.drift import DriftReport, Quality, compute_report_id, save_report
from evergreen.store.records.checks.drift_metric import DriftMetric
from evergreen.store.records.checks.health import HealthFinding, HealthReport, save_health_report
from evergreen.store.records.checks.quality_metric import EstimatedQuality, QualityEstimate
from evergreen.usecase import UseCase

JULY = datetime(2026, 7, 1, tzinfo=UTC)
CHECKED = JULY + timedelta(days=1)


def save_check(settings: Settings) -> None:
    """A check with drift, quality, health and a decision to retrain."""
    engine = get_engine(settings)
    estimate = QualityEstimate("accuracy", 0.81, 0.79, 0.83, 500, 0.9)
    report = DriftReport(
        id=compute_report_id("toy", CHECKED),
        use_case="toy",
        as_of=CHECKED,
        model_version=2,
        window_start=JULY,
        window_end=CHECKED,
        row_count=500,
        drifted=True,
        reason="visits moved",
        quality=Quality(500, 120, {"accuracy": 0.8}, 0.1, {}, "", None, EstimatedQuality((estimate,), "")),
        metrics=(
            DriftMetric("", "", "drifted_features", 1, 1, "drift"),
            DriftMetric("", "visits", "psi", 0.4, 0.25, "drift"),
            DriftMetric("", "visits", "refused_share", 0.02, 0.05, "none"),
            DriftMetric("", "spend", "missing_change", 0.15, 0.1, "warning"),
            # Neither a slice's figures, nor those of a feature that nobody declares, are published.
            DriftMetric("segment=web", "visits", "psi", 0.9, 0.25, "drift"),
            DriftMetric("", "left_long_ago", "psi", 0.9, 0.25, "drift"),
        ),
    )
    save_report(engine, report)
    findings = (
        HealthFinding("freshness", "facts", "error", "old"),
        HealthFinding("freshness", "", "ok", "fresh"),
        HealthFinding("skew", "", "unknown", "no predictions"),
    )
    save_health_report(engine, report.id, HealthReport("toy", CHECKED, findings))
    identifier = compute_decision_id("toy", CHECKED)
    save_decision(engine, Decision(identifier, "toy", CHECKED, True, "yes, because", report.id, CHECKED))


def log_prediction(settings: Settings, use_case: UseCase, channel: str = "online") -> datetime:
    """Log a prediction of now; its moment."""
    document = {
        "prediction_id": str(uuid7()),
        "model_version": 2,
        "channel": channel,
        "prediction": "no",
        "client_id": 1,
    }
    row = PredictionRow.from_json(document)
    insert_predictions(get_engine(settings), use_case, [row])
    return parse_prediction_time(row.prediction_id)
