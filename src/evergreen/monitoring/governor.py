"""The governor: retrain or not? Every decision is recorded with its reason, also "no, because ..."."""

from __future__ import annotations

from datetime import datetime, timedelta

from evergreen.store.records.drift import DriftReport
from evergreen.usecase import RetrainPolicy


def apply_retrain_policy(
    policy: RetrainPolicy,
    drift: DriftReport,
    as_of: datetime,
    *,
    promoted_at: datetime | None = None,
    last_retrain: datetime | None = None,
) -> tuple[bool, str]:
    """Whether to retrain as of a moment, and the reason: "yes, because ..." or "no, because ...".

    Drift is the cause. A champion promoted, or a retraining decided, less than `policy.cooldown` ago is left
    alone. `promoted_at` is the champion's; moments are aware UTC.
    """
    if not drift.drifted:
        return False, f"no, because {_explain_no_drift(drift)}"
    if not policy.on_drift:
        return False, f"no, because this use case does not retrain on drift, although {drift.reason}"
    for what, moment in (
        (f"champion v{drift.model_version} was promoted", promoted_at),
        ("a retraining was decided", last_retrain),
    ):
        if moment is not None and moment > as_of:
            return False, f"no, because {what} after that moment, although {drift.reason}"
        if moment is not None and as_of - moment < policy.cooldown:
            ago = _format_duration(as_of - moment)
            return False, (
                f"no, because {what} {ago} ago and the cooldown is {_format_duration(policy.cooldown)}, "
                f"although {drift.reason}"
            )
    return True, f"yes, because {drift.reason}"


def _explain_no_drift(drift: DriftReport) -> str:
    if drift.drifted is None:
        return drift.reason.replace("no verdict:", "there is no verdict:", 1)
    return drift.reason


def _format_duration(duration: timedelta) -> str:
    seconds = max(0, int(duration.total_seconds()))
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {word}"
    return f"{seconds} s"
