"""The governor's decision from a drift report alone."""

from __future__ import annotations

from datetime import datetime

from evergreen.monitoring.governor.answer import RetrainAnswer
from evergreen.monitoring.governor.decide import decide
from evergreen.monitoring.governor.inputs import DriftEvidence, DriftSeverity, GovernorInputs, PastRetrain
from evergreen.store.records.checks.drift import DriftReport
from evergreen.usecase import RetrainPolicy


def apply_retrain_policy(
    policy: RetrainPolicy,
    report: DriftReport,
    as_of: datetime,
    *,
    promoted_at: datetime | None = None,
    last_retrain: datetime | None = None,
) -> RetrainAnswer:
    """Decide whether to retrain as of a moment, knowing nothing but the drift, the champion's promotion and
    the last decision to retrain. Moments are aware UTC."""
    severity: DriftSeverity = "unknown" if report.drifted is None else "drift" if report.drifted else "none"
    inputs = GovernorInputs(
        as_of=as_of,
        champion=report.model_version,
        promoted_at=promoted_at,
        drift=DriftEvidence(
            severity=severity,
            reason=report.reason,
            rows=report.row_count,
            breaches=policy.breaches if report.drifted else 0,
            since=report.window_start if report.drifted else None,
        ),
        retrains=() if last_retrain is None else (PastRetrain(last_retrain, "drift"),),
    )
    return decide(policy, inputs)
