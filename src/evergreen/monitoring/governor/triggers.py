"""The triggers: each reads one part of the inputs, and says whether it is a reason to retrain."""

from __future__ import annotations

from evergreen.monitoring.governor.answer import CheckResult, GovernorCheck
from evergreen.monitoring.governor.inputs import DriftEvidence, GovernorInputs, RealisedEvidence
from evergreen.monitoring.governor.quality_drop import measure_quality_drop
from evergreen.monitoring.governor.wording import describe_unit, format_duration
from evergreen.usecase import RetrainPolicy


def evaluate_triggers(policy: RetrainPolicy, inputs: GovernorInputs) -> list[GovernorCheck]:
    """Every trigger, in the order in which they give the reason."""
    return [
        _check_manual(inputs),
        _check_realised_drop(policy, inputs),
        _check_estimated_drop(policy, inputs),
        _check_drift(policy, inputs),
        _check_growth(policy, inputs),
        _check_new_data(policy, inputs),
        _check_schedule(policy, inputs),
    ]


def _check_manual(inputs: GovernorInputs) -> GovernorCheck:
    reason = inputs.manual_reason
    text = f"a person asked for it: {reason}" if reason else "nobody asked for it"
    return _build_trigger("manual", "fired" if reason else "idle", reason or "none", "any", text)


def _check_realised_drop(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    name, limit = "realised drop", f"{policy.drop_limit:g} deviations beyond {policy.min_drop:g}"
    if not policy.on_realised_drop:
        return _build_trigger(name, "off", "", limit, "this use case does not retrain on a realised drop")
    realised = inputs.realised
    if realised is None or not realised.points:
        return _build_trigger(name, "unknown", "no outcomes", limit, "no outcomes of this champion are known")
    drop = measure_quality_drop(policy, realised)
    value = f"{drop.drop:.4f} over {drop.rows:,} rows, cumulated sum {drop.statistic:.2f}"
    if drop.since is None:
        return _build_trigger(name, "idle", value, limit, f"{realised.metric} is as it was at the training")
    expected = all(point.expected is not None for point in realised.points)
    text = (
        f"{realised.metric} of {drop.rows:,} labelled rows since {drop.since:%Y-%m-%d} is {drop.drop:.3f}"
        f"{describe_unit(realised.metric)} worse than "
        + ("is expected of them" if expected else _describe_reference(realised))
    )
    if drop.rows < policy.min_sample:
        few = f"{text}, of fewer than {policy.min_sample:,} rows"
        return _build_trigger(name, "unknown", value, limit, few)
    fired = drop.statistic > policy.drop_limit
    return _build_trigger(name, "fired" if fired else "idle", value, limit, text)


def _describe_reference(realised: RealisedEvidence) -> str:
    if realised.reference is None:
        return "at first"
    return f"the {realised.reference.value:.3f} at the training"


def _check_estimated_drop(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    name, limit = "estimated drop", f"{policy.min_drop:g} in {policy.breaches} checks"
    if not policy.on_estimated_drop:
        return _build_trigger(name, "off", "", limit, "this use case does not retrain on an estimated drop")
    estimate = inputs.estimated
    if estimate is None:
        return _build_trigger(name, "unknown", "no estimate", limit, "there is no estimate of the quality")
    value = f"{estimate.metric} {estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
    if not estimate.trusted:
        text = f"the estimated {estimate.metric} is not trusted: {estimate.trust_reason}"
        return _build_trigger(name, "unknown", value, limit, text)
    if estimate.rows < policy.min_sample:
        text = f"the estimated {estimate.metric} is of {estimate.rows:,} rows only"
        return _build_trigger(name, "unknown", value, limit, text)
    best = estimate.low if estimate.less_is_better else estimate.high
    drop = best - estimate.reference if estimate.less_is_better else estimate.reference - best
    text = (
        f"{estimate.metric} is estimated as {estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
        f"{describe_unit(estimate.metric)} after {estimate.reference:.3f} at the training"
    )
    fired = drop > policy.min_drop and estimate.breaches >= policy.breaches
    return _build_trigger(name, "fired" if fired else "idle", value, limit, text)


def _check_drift(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    drift, limit = inputs.drift, f"severity drift in {policy.breaches} checks"
    if drift is None:
        return _build_trigger("drift", "unknown", "not measured", limit, "drift was not measured")
    value = f"{drift.severity} in {drift.breaches} checks in succession, {drift.rows:,} rows"
    if drift.severity == "unknown":
        reason = drift.reason.replace("no verdict:", "there is no verdict:", 1)
        return _build_trigger("drift", "unknown", value, limit, reason)
    if drift.severity != "drift":
        return _build_trigger("drift", "idle", value, limit, drift.reason)
    if not policy.on_drift:
        text = f"this use case does not retrain on drift, although {drift.reason}"
        return _build_trigger("drift", "off", value, limit, text)
    if drift.breaches < policy.breaches:
        text = f"{drift.reason} in {drift.breaches} of {policy.breaches} checks in succession"
        return _build_trigger("drift", "idle", value, limit, text)
    excuse = _explain_waiting(policy, inputs, drift)
    if excuse:
        return _build_trigger("drift", "idle", value, limit, f"{drift.reason}, but {excuse}")
    return _build_trigger("drift", "fired", value, limit, drift.reason)


def _explain_waiting(policy: RetrainPolicy, inputs: GovernorInputs, drift: DriftEvidence) -> str:
    """Why drift is no reason to retrain yet; "" where it is one.

    Outcomes say more than drift: where those since the drift began are known, a drop decides; where they
    will come soon, they are waited for. Nor is drift answered twice: the rows that come later count as
    growth.
    """
    since = drift.since
    if since is None:
        return ""
    if inputs.realised is not None:
        rows = sum(point.rows for point in inputs.realised.points if point.end > since)
        if rows >= policy.min_sample:
            return f"{rows:,} outcomes since it began show no drop"
    if any(retrain.as_of > since and retrain.outcome == "promoted" for retrain in inputs.retrains):
        return f"the champion was trained after it began on {since:%Y-%m-%d}"
    newest = inputs.labels.newest
    if newest is None:
        return ""
    lateness = inputs.as_of - newest
    if lateness <= policy.label_patience and inputs.as_of - since <= 2 * policy.label_patience:
        return f"outcomes of its time are waited for, which come {format_duration(lateness)} late"
    return ""


def _check_growth(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    name, limit = "growth", f"{policy.on_growth:g} times the rows"
    if not policy.on_growth:
        return _build_trigger(name, "off", "", limit, "this use case does not retrain on growth")
    labels = inputs.labels
    since = inputs.change_since
    if since is None or labels.training is None or labels.available is None:
        return _build_trigger(name, "idle", "no change", limit, "no retrain has answered a change")
    value = f"{labels.available:,} rows since {since:%Y-%m-%d}, {labels.training:,} at the training"
    fired = labels.available >= policy.on_growth * max(labels.training, policy.min_sample)
    fired = fired and labels.training < policy.enough_rows
    text = (
        f"{labels.available:,} labelled rows since the change of {since:%Y-%m-%d} are known, and the "
        f"champion was trained when {labels.training:,} were"
    )
    return _build_trigger(name, "fired" if fired else "idle", value, limit, text)


def _check_new_data(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    value = "yes" if inputs.new_rows else "no"
    if not policy.on_new_data:
        return _build_trigger("new data", "off", value, "any", "this use case does not retrain on new data")
    if inputs.new_rows:
        return _build_trigger("new data", "fired", value, "any", "an ingest has loaded rows")
    return _build_trigger("new data", "idle", value, "any", "no ingest has loaded rows")


def _check_schedule(policy: RetrainPolicy, inputs: GovernorInputs) -> GovernorCheck:
    if inputs.scheduled:
        return _build_trigger("schedule", "fired", "due", "any", "the schedule is due")
    if policy.every is None:
        return _build_trigger("schedule", "off", "", "none", "this use case does not retrain on a schedule")
    limit = format_duration(policy.every)
    moments = [retrain.as_of for retrain in inputs.retrains]
    last = max([*moments, *([inputs.trained_at] if inputs.trained_at else [])], default=None)
    if last is None:
        return _build_trigger("schedule", "unknown", "never", limit, "no training is known")
    age = inputs.as_of - last
    text = f"the last training was {format_duration(age)} ago, and one is due every {limit}"
    fired = age >= policy.every
    return _build_trigger("schedule", "fired" if fired else "idle", format_duration(age), limit, text)


def _build_trigger(name: str, result: CheckResult, value: str, limit: str, text: str) -> GovernorCheck:
    return GovernorCheck(name, "trigger", result, value, limit, text)
