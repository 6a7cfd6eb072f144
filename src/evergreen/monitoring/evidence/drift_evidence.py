"""Drift as evidence: the latest check, and how many checks in succession found drift."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from evergreen.monitoring.governor.inputs import DriftEvidence
from evergreen.store.records.checks.drift import DriftReport
from evergreen.store.records.checks.drift_course import DriftVerdict


def build_drift_evidence(
    report: DriftReport, verdicts: Sequence[DriftVerdict], former_since: datetime | None = None
) -> DriftEvidence:
    """The evidence of a report. `verdicts` are those of its use case up to its moment, the newest first;
    `former_since` is when the drift of the check before began, None where it found none.

    Checks without a verdict neither end a succession nor count in it. Breaches are those of the report's
    champion; drift that a retraining did not end began before it.
    """
    breaches, drifted = 0, []
    for verdict in verdicts:
        if verdict.drifted is False:
            break
        if verdict.drifted:
            drifted.append(verdict)
            breaches += verdict.version == report.model_version
    since = None
    if drifted:
        # The estimated hour of the beginning where there is one, else the window's.
        is_new = len(drifted) == 1 and report.drifted
        since = (report.since if is_new else former_since) or drifted[-1].window_start
    return DriftEvidence(report.severity, report.reason, report.row_count, breaches, since)
