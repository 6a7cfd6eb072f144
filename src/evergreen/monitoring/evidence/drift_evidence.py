"""Drift as evidence: the latest check, and how many checks in succession found drift."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.monitoring.governor.inputs import DriftEvidence, DriftSeverity
from evergreen.store.records.drift import DriftReport
from evergreen.store.records.drift_course import DriftVerdict


def build_drift_evidence(report: DriftReport, verdicts: Sequence[DriftVerdict]) -> DriftEvidence:
    """The evidence of a report. `verdicts` are those of its version up to its moment, the newest first.

    Checks without a verdict neither end a succession nor count in it.
    """
    breaches, since = 0, None
    for verdict in verdicts:
        if verdict.drifted is False:
            break
        if verdict.drifted:
            breaches, since = breaches + 1, verdict.window_start
    severity = find_drift_severity(report)
    if severity != "drift":
        breaches, since = (breaches, since) if severity == "unknown" else (0, None)
    return DriftEvidence(severity, report.reason, report.row_count, breaches, since)


def find_drift_severity(report: DriftReport) -> DriftSeverity:
    """The severity of a report; of one that was written before there were any, by its verdict."""
    severity: DriftSeverity | None = getattr(report, "severity", None)
    if severity is not None:
        return severity
    return "unknown" if report.drifted is None else "drift" if report.drifted else "none"
