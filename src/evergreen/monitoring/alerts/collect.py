"""What people are told of one check: drift, a quality drop, trouble with data or service, trials that
ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from evergreen.monitoring.alerts.alert import Alert, AlertKind
from evergreen.store.records.checks.decision import Decision
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.health import HealthFinding, HealthReport, HealthTopic
from evergreen.store.records.model_trial import ModelTrial

# The kind of alert that a health finding becomes. Refused rows, orphans and clocks are in the report only:
# they are many clients' faults, and none of them mends itself by being told daily.
_KINDS: Mapping[HealthTopic, AlertKind] = {
    "freshness": "stale_data",
    "contract": "contract_failure",
    "log": "log_loss",
    "service": "service",
}
_DROPS = ("realised drop", "estimated drop")
# How a trial ends that nobody stops.
_BY_ITSELF = ("passed", "no_verdict", "failed")


def collect_alerts(
    report: DriftReport,
    health: HealthReport | None,
    decision: Decision | None,
    trials: Sequence[ModelTrial],
) -> list[Alert]:
    """The alerts of a check. `trials` are those that ended lately; those that a person stopped are left
    out."""
    name, version = report.use_case, f"v{report.model_version}"
    hint = f"evergreen decisions {name}"
    alerts = []
    if report.severity == "drift":
        outcome = f" Retrain: {decision.reason}." if decision else ""
        alerts.append(Alert(name, "drift", version, "error", f"{report.reason}.{outcome}", hint))
    for check in decision.checks or () if decision else ():
        if check.name in _DROPS and check.result == "fired":
            alerts.append(Alert(name, "quality_drop", version, "error", f"{check.text}.", hint))
    alerts += _collect_from_health(name, health)
    alerts += [build_trial_alert(trial) for trial in trials if has_ended_itself(trial)]
    return alerts


def build_rejection_alert(use_case_name: str, version: int | None, cause: str, reason: str) -> Alert:
    """The alert that a retrain ended with a rejected candidate."""
    subject = f"v{version}" if version else ""
    sentence = f"The retraining ({cause}) brought no better model: {reason}. The champion stays."
    hint = f"evergreen gate explain {use_case_name} {version}" if version else ""
    return Alert(use_case_name, "rejected_candidate", subject, "error", sentence, hint)


def _collect_from_health(use_case_name: str, health: HealthReport | None) -> list[Alert]:
    findings: dict[tuple[AlertKind, str], list[HealthFinding]] = {}
    for finding in health.troubles if health else ():
        kind = _KINDS.get(finding.what)
        if kind is not None and _is_told(finding):
            findings.setdefault((kind, finding.subject), []).append(finding)
    return [
        Alert(
            use_case_name,
            kind,
            subject,
            _find_severity(group),
            "; ".join(finding.sentence for finding in group[:5]) + ".",
            f"evergreen ingest-runs {use_case_name}" if kind in ("stale_data", "contract_failure") else "",
        )
        for (kind, subject), group in findings.items()
    ]


def _is_told(finding: HealthFinding) -> bool:
    """Old losses of the log stay in its counters; people are told of new ones only."""
    return finding.what != "log" or finding.severity == "error"


def _find_severity(findings: Sequence[HealthFinding]) -> Literal["warning", "error"]:
    return "error" if any(finding.severity == "error" for finding in findings) else "warning"


def has_ended_itself(trial: ModelTrial) -> bool:
    """Whether a trial has ended, and not by a person's hand or another champion."""
    return trial.outcome in _BY_ITSELF


def build_trial_alert(trial: ModelTrial) -> Alert:
    """The alert that a trial has ended."""
    outcome = str(trial.outcome).replace("_", " ")
    sentence = f"The trial of {trial.describe()} ended, {outcome}: {trial.reason}."
    severity: Literal["warning", "error"] = "error" if trial.outcome == "failed" else "warning"
    hint = f"evergreen trial status {trial.use_case}"
    return Alert(trial.use_case, "trial_ended", trial.id, severity, sentence, hint)
