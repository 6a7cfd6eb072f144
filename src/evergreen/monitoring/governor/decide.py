"""The governor's decision: a pure function of the declared policy and of what is known."""

from __future__ import annotations

from datetime import datetime

from evergreen.monitoring.governor.answer import GovernorCheck, RetrainAnswer
from evergreen.monitoring.governor.inputs import GovernorInputs
from evergreen.monitoring.governor.limits import evaluate_limits
from evergreen.monitoring.governor.quality_drop import measure_quality_drop
from evergreen.monitoring.governor.training_window import plan_training_window
from evergreen.monitoring.governor.triggers import evaluate_triggers
from evergreen.usecase import RetrainPolicy


def decide(policy: RetrainPolicy, inputs: GovernorInputs) -> RetrainAnswer:
    """Decide whether to retrain.

    The answer is yes when a trigger fired and no limit blocks. Every rule is evaluated whatever the others
    say, so that the record shows all of them. The reason of a yes is the first trigger that fired, of a no
    the first limit that blocks, or where nothing fired why the triggers are idle.
    """
    triggers, limits = evaluate_triggers(policy, inputs), evaluate_limits(policy, inputs)
    checks = (*triggers, *limits)
    fired = [check for check in triggers if check.result == "fired"]
    blocks = [check for check in limits if check.result == "blocked"]
    if not fired:
        return RetrainAnswer(False, f"no, because {_explain_idle(triggers)}", checks=checks)
    trigger = fired[0]
    if blocks:
        reason = f"no, because {blocks[0].text}, although {trigger.text}"
        return RetrainAnswer(False, reason, trigger.name, checks=checks)
    since = find_drift_start(policy, inputs, trigger.name)
    plan = plan_training_window(policy, inputs.as_of, since, inputs.labels.oldest)
    return RetrainAnswer(True, f"yes, because {trigger.text}", trigger.name, plan, checks)


def find_drift_start(policy: RetrainPolicy, inputs: GovernorInputs, trigger: str) -> datetime | None:
    """When the change began that a retrain answers (aware UTC): of the drop, else of the drift; for growth,
    and where neither shows, of the change that the last promoted retrain answered. None without any."""
    if trigger != "growth":
        if inputs.realised is not None:
            drop = measure_quality_drop(policy, inputs.realised)
            if drop.since is not None and drop.statistic > policy.drop_limit:
                return drop.since
        if inputs.drift is not None and inputs.drift.severity == "drift" and inputs.drift.since is not None:
            return inputs.drift.since
    return inputs.change_since


def _explain_idle(triggers: list[GovernorCheck]) -> str:
    """Why nothing fired: what the evidence says, without what was not declared or not measured."""
    telling = {check.name: check for check in triggers}
    drift = telling["drift"]
    texts = [drift.text] if drift.value != "not measured" else []
    for name in ("realised drop", "estimated drop", "growth", "schedule"):
        check = telling[name]
        if check.result == "idle" and check.value != "no change":
            texts.append(check.text)
    return "; ".join(texts) or "nothing was measured that is a reason to retrain"
