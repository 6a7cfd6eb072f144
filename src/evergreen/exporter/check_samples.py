"""What the newest monitoring check of a use case found: drift, quality, health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from evergreen.exporter.samples import Samples
from evergreen.model.slice_groups import ALL_ROWS
from evergreen.store.records.checks.drift import Quality, find_latest_report
from evergreen.store.records.checks.drift_metric import SEVERITIES, DriftMetric, Severity, read_drift_metrics
from evergreen.store.records.checks.health import HealthSeverity, read_health_report
from evergreen.usecase import UseCase

_REFUSED: Final = "refused_share"
# As MLflow's runs of checks have them.
_SEVERITY_NUMBERS: Final[Mapping[Severity, int]] = {"none": 0, "unknown": 0, "warning": 1, "drift": 2}
_HEALTH_NUMBERS: Final[Mapping[HealthSeverity, int]] = {"unknown": -1, "ok": 0, "warning": 1, "error": 2}


def add_check(samples: Samples, engine: sa.Engine, use_case: UseCase) -> None:
    """Add the values of the newest check; none before the first. Raises StoreUnreachable."""
    name = use_case.name
    report = find_latest_report(engine, name)
    if report is None:
        return
    samples.add_moment("evergreen_check_timestamp_seconds", report.as_of, name)
    for severity in SEVERITIES:
        samples.add("evergreen_check_severity", report.severity == severity, name, severity)
    samples.add("evergreen_check_rows", report.row_count, name)
    _add_figures(samples, use_case, read_drift_metrics(engine, report.id, slice_name=ALL_ROWS))
    if report.quality is not None:
        _add_quality(samples, name, report.quality)
    _add_health(samples, engine, name, report.id)


def _add_figures(samples: Samples, use_case: UseCase, metrics: list[DriftMetric]) -> None:
    """Add the figures over all rows; of features that are declared only, so that their number is bounded
    whatever is on record."""
    stored, computed = use_case.stored_features, use_case.on_demand
    declared = {*(feature.name for feature in stored), *(feature.name for feature in computed)}
    severities = {feature.name: 0 for feature in use_case.model_features}
    for metric in metrics:
        if metric.feature and metric.feature not in declared:
            continue
        labels = (use_case.name, metric.feature, metric.metric)
        samples.add("evergreen_drift_value", metric.value, *labels)
        samples.add("evergreen_drift_limit", metric.limit, *labels)
        # Refused rows are no drift: see docs/monitoring.md.
        if metric.feature in severities and metric.metric != _REFUSED:
            number = _SEVERITY_NUMBERS[metric.severity]
            severities[metric.feature] = max(severities[metric.feature], number)
    for feature, number in severities.items():
        samples.add("evergreen_drift_severity", number, use_case.name, feature)


def _add_quality(samples: Samples, name: str, quality: Quality) -> None:
    for metric, value in quality.metrics.items():
        samples.add("evergreen_quality", value, name, "realised", metric)
    samples.add("evergreen_quality_rows", quality.labelled, name, "realised")
    estimates = quality.estimated.estimates if quality.estimated else ()
    for estimate in estimates:
        labels = (name, "estimated", estimate.metric)
        samples.add("evergreen_quality", estimate.value, *labels)
        samples.add("evergreen_quality_low", estimate.low, *labels)
        samples.add("evergreen_quality_high", estimate.high, *labels)
        samples.add("evergreen_quality_reference", estimate.reference, *labels)
    if estimates:
        rows = max(estimate.rows for estimate in estimates)
        samples.add("evergreen_quality_rows", rows, name, "estimated")


def _add_health(samples: Samples, engine: sa.Engine, name: str, report_id: str) -> None:
    """Add the worst severity of each topic; the health of a check is measured after its drift."""
    health = read_health_report(engine, report_id)
    worst: dict[str, int] = {}
    for finding in health.findings if health else ():
        number = _HEALTH_NUMBERS[finding.severity]
        worst[finding.what] = max(worst.get(finding.what, number), number)
    for topic, number in worst.items():
        samples.add("evergreen_health_severity", number, name, topic)
