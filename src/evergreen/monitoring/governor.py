"""The governor: the rule by which drift leads to a retraining, or does not, with the reason in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from evergreen.store.records.drift import DriftReport
from evergreen.usecase import RetrainPolicy


@dataclass(frozen=True)
class RetrainAnswer:
    """Whether to retrain, and why: `reason` is "yes, because ..." or "no, because ..."."""

    retrain: bool
    reason: str


def apply_retrain_policy(
    policy: RetrainPolicy,
    report: DriftReport,
    as_of: datetime,
    *,
    promoted_at: datetime | None = None,
    last_retrain: datetime | None = None,
) -> RetrainAnswer:
    """Decide whether to retrain as of a moment. Moments are aware UTC.

    Only drift leads to a retraining, and only where neither the champion's promotion (`promoted_at`) nor the
    last decision to retrain (`last_retrain`) is less than `policy.cooldown` ago.
    """
    if not report.drifted:
        return RetrainAnswer(False, f"no, because {_explain_no_drift(report)}")
    if not policy.on_drift:
        reason = f"no, because this use case does not retrain on drift, although {report.reason}"
        return RetrainAnswer(False, reason)
    for event, moment in (
        (f"champion v{report.model_version} was promoted", promoted_at),
        ("a retraining was decided", last_retrain),
    ):
        if moment is not None and moment > as_of:
            return RetrainAnswer(False, f"no, because {event} after that moment, although {report.reason}")
        if moment is not None and as_of - moment < policy.cooldown:
            ago = _format_duration(as_of - moment)
            return RetrainAnswer(
                False,
                f"no, because {event} {ago} ago and the cooldown is {_format_duration(policy.cooldown)}, "
                f"although {report.reason}",
            )
    return RetrainAnswer(True, f"yes, because {report.reason}")


def _explain_no_drift(report: DriftReport) -> str:
    if report.drifted is None:
        return report.reason.replace("no verdict:", "there is no verdict:", 1)
    return report.reason


def _format_duration(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds} s"
