"""What the governor knew, in a few words: for people who follow a decision without opening it."""

from __future__ import annotations

from evergreen.monitoring.governor.inputs import GovernorInputs
from evergreen.monitoring.governor.wording import describe_unit


def describe_inputs(inputs: GovernorInputs) -> str:
    """The inputs of a decision in one line; what was not measured is left out."""
    clauses = [f"champion v{inputs.champion}" if inputs.champion else "no champion"]
    if inputs.trained_at is not None:
        clauses[0] += f" trained as of {inputs.trained_at:%Y-%m-%d}"
    if inputs.drift is not None:
        checks = "1 check" if inputs.drift.breaches == 1 else f"{inputs.drift.breaches} checks in succession"
        breaches = f", {inputs.drift.severity} in {checks}" if inputs.drift.breaches else ""
        clauses.append(f"{inputs.drift.rows:,} predictions{breaches}")
    if inputs.labels.known is not None:
        new = f", {inputs.labels.new:,} of them new" if inputs.labels.new is not None else ""
        clauses.append(f"{inputs.labels.known:,} labels{new}")
    if inputs.realised is not None and inputs.realised.points:
        last = inputs.realised.points[-1]
        metric = inputs.realised.metric
        clauses.append(f"{metric} {last.value:.3f}{describe_unit(metric)} on {last.rows:,} new outcomes")
    if inputs.estimated is not None:
        trust = "" if inputs.estimated.trusted else ", not trusted yet"
        metric = inputs.estimated.metric
        unit = describe_unit(metric)
        clauses.append(f"{metric} estimated as {inputs.estimated.value:.3f}{unit}{trust}")
    retrains = sum(retrain.as_of <= inputs.as_of for retrain in inputs.retrains)
    clauses.append(f"{retrains} earlier retrain{'' if retrains == 1 else 's'}")
    return "; ".join(clauses)
