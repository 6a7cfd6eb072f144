"""The limits: each is a reason not to retrain, whatever the triggers say."""

from __future__ import annotations

from datetime import datetime, timedelta

from evergreen.monitoring.governor.answer import CheckResult, GovernorCheck
from evergreen.monitoring.governor.inputs import GovernorInputs
from evergreen.monitoring.governor.quality_drop import measure_quality_drop
from evergreen.monitoring.governor.quiet_hours import is_quiet
from evergreen.monitoring.governor.wording import format_duration
from evergreen.usecase import RetrainPolicy

WEEK = timedelta(days=7)


def evaluate_limits(policy: RetrainPolicy, inputs: GovernorInputs) -> list[GovernorCheck]:
    """Every limit, in the order in which they give the reason. None holds for a retrain that a person asks
    for."""
    checks = [
        _check_running(inputs),
        _check_moments(inputs),
        _check_backoff(policy, inputs),
        _check_cooldown(policy, inputs),
        _check_budget(policy, inputs),
        _check_quiet_hours(policy, inputs),
        _check_new_labels(policy, inputs),
        _check_cost(policy, inputs),
    ]
    return [_override(check) for check in checks] if inputs.manual_reason else checks


def _override(check: GovernorCheck) -> GovernorCheck:
    if check.result != "blocked":
        return check
    return GovernorCheck(check.name, check.kind, "overridden", check.value, check.limit, check.text)


def _check_running(inputs: GovernorInputs) -> GovernorCheck:
    since = inputs.running_since
    if since is None:
        return _build_limit("one at a time", "passed", "none", "1", "no retraining is under way")
    value = f"since {since:%Y-%m-%d %H:%M} UTC"
    text = f"a retraining has been under way {value}"
    text += f" ({inputs.running_reason})" if inputs.running_reason else ""
    return _build_limit("one at a time", "blocked", value, "1", text)


def _check_moments(inputs: GovernorInputs) -> GovernorCheck:
    for event, moment in _list_events(inputs):
        if moment > inputs.as_of:
            value = f"{moment:%Y-%m-%d %H:%M} UTC"
            return _build_limit("moments", "blocked", value, "as_of", f"{event} after that moment")
    return _build_limit("moments", "passed", "in order", "as_of", "nothing is later than that moment")


def _check_backoff(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    rejections, last, outcome = 0, None, ""
    for retrain in reversed(inputs.retrains):
        if retrain.outcome == "promoted":
            break
        if retrain.outcome in ("rejected", "failed"):
            rejections += 1
            if last is None:
                last, outcome = retrain.as_of, retrain.outcome
    if last is None:
        text = "no candidate was rejected, and no training failed"
        return _build_limit("backoff", "passed", "0 in succession", "", text)
    wait = compute_backoff(policy, rejections)
    age = inputs.as_of - last
    limit = format_duration(wait)
    what = "the last training failed" if outcome == "failed" else "the last candidate was rejected"
    what += f", {format_duration(age)} ago"
    if rejections > 1:
        what += f" as the last of {rejections} retrainings in succession without a new champion"
    text = f"{what}, and the backoff is {limit}"
    value = f"{rejections} in succession, the last {format_duration(age)} ago"
    return _build_limit("backoff", "blocked" if age < wait else "passed", value, limit, text)


def compute_backoff(policy: RetrainPolicy, rejections: int) -> timedelta:
    """How long to wait after so many rejections in succession: doubled with each, up to the limit."""
    if rejections < 1:
        return timedelta(0)
    # Beyond 2**40 days every declared limit is reached, and a timedelta would overflow.
    doubled = policy.backoff.total_seconds() * 2.0 ** min(rejections - 1, 40)
    return timedelta(seconds=min(doubled, policy.backoff_limit.total_seconds()))


def _check_cooldown(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    limit = format_duration(policy.cooldown)
    if not policy.cooldown:
        return _build_limit("cooldown", "off", "", "none", "no cooldown is declared")
    latest = max(_list_events(inputs), key=lambda event: event[1], default=None)
    if latest is None:
        return _build_limit("cooldown", "passed", "never", limit, "no retraining is known")
    event, moment = latest
    ago = format_duration(inputs.as_of - moment)
    text = f"{event} {ago} ago and the cooldown is {limit}"
    blocked = inputs.as_of - moment < policy.cooldown
    return _build_limit("cooldown", "blocked" if blocked else "passed", ago, limit, text)


def _check_budget(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    if policy.weekly_budget is None:
        return _build_limit("budget", "off", "", "none", "no budget is declared")
    use_count = sum(inputs.as_of - WEEK < retrain.as_of <= inputs.as_of for retrain in inputs.retrains)
    text = f"{use_count} retrains were decided within seven days and the budget is {policy.weekly_budget}"
    result: CheckResult = "blocked" if use_count >= policy.weekly_budget else "passed"
    return _build_limit("budget", result, str(use_count), str(policy.weekly_budget), text)


def _check_quiet_hours(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    if not policy.quiet_hours:
        return _build_limit("quiet hours", "off", "", "none", "no quiet hours are declared")
    value = f"{inputs.as_of:%a %H:%M} UTC"
    limit = ", ".join(f"{hours.start:%H:%M}-{hours.end:%H:%M} {hours.zone}" for hours in policy.quiet_hours)
    for hours in policy.quiet_hours:
        if is_quiet(hours, inputs.as_of):
            text = f"hours are quiet from {hours.start:%H:%M} to {hours.end:%H:%M} ({hours.zone})"
            return _build_limit("quiet hours", "blocked", value, limit, text)
    return _build_limit("quiet hours", "passed", value, limit, "the hour is not quiet")


def _check_new_labels(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    new, limit = inputs.labels.new, f"{policy.min_new_labels:,}"
    if not policy.min_new_labels:
        return _build_limit("new labels", "off", "", "none", "no number of new labels is asked for")
    if new is None:
        return _build_limit("new labels", "unknown", "", limit, "the number of new labels is not known")
    text = f"{new:,} labels are new since the last training and it takes {limit}"
    blocked = new < policy.min_new_labels
    return _build_limit("new labels", "blocked" if blocked else "passed", f"{new:,}", limit, text)


def _check_cost(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    if policy.cost is None:
        return _build_limit("cost", "off", "", "none", "no cost of a retrain is declared")
    limit, drop = f"{policy.cost:,.0f}", _find_drop(policy, inputs)
    if drop is None or inputs.predictions_per_day is None:
        text = "the loss of staying stale is not known"
        return _build_limit("cost", "unknown", "", limit, text)
    days = policy.horizon.total_seconds() / 86_400
    loss = max(0.0, drop) * inputs.predictions_per_day * days
    text = (
        f"staying stale for {days:g} d would lose {loss:,.0f} at {inputs.predictions_per_day:,.0f} "
        f"predictions a day, and a retrain costs {limit}"
    )
    return _build_limit("cost", "blocked" if loss < policy.cost else "passed", f"{loss:,.0f}", limit, text)


def _find_drop(policy: RetrainPolicy, inputs: GovernorInputs) -> float | None:
    """The drop per prediction, in units of the metric: the greater of the realised one and, where it is
    trusted, of the estimated one, which is of later rows. None where neither is known."""
    drops = []
    if inputs.realised is not None and inputs.realised.points:
        drops.append(measure_quality_drop(policy, inputs.realised).drop)
    estimate = inputs.estimated
    if estimate is not None and estimate.trusted:
        sign = 1.0 if estimate.less_is_better else -1.0
        drops.append(sign * (estimate.value - estimate.reference))
    return max(drops, default=None)


def _list_events(inputs: GovernorInputs) -> list[tuple[str, datetime]]:
    events = [("a retraining was decided", retrain.as_of) for retrain in inputs.retrains]
    if inputs.promoted_at is not None:
        events.append((f"champion v{inputs.champion} was promoted", inputs.promoted_at))
    return events


def _build_limit(name: str, result: CheckResult, value: str, limit: str, text: str) -> GovernorCheck:
    return GovernorCheck(name, "limit", result, value, limit, text)
