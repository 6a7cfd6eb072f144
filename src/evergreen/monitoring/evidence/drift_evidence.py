"""Drift as evidence: the latest check, and how many checks in succession found drift."""

from __future__ import annotations

from collections.abc import Sequence

from evergreen.monitoring.governor.inputs import DriftEvidence
from evergreen.store.records.drift import DriftReport
from evergreen.store.records.drift_course import DriftVerdict


def build_drift_evidence(report: DriftReport, verdicts: Sequence[DriftVerdict]) -> DriftEvidence:
    """The evidence of a report. `verdicts` are those of its use case up to its moment, the newest first.

    Checks without a verdict neither end a succession nor count in it. Breaches are those of the report's
    champion; drift that a retraining did not end began before it.
    """
    breaches, since = 0, None
    for verdict in verdicts:
        if verdict.drifted is False:
            break
        if verdict.drifted:
            since = verdict.window_start
            breaches += verdict.version == report.model_version
    return DriftEvidence(report.severity, report.reason, report.row_count, breaches, since)
