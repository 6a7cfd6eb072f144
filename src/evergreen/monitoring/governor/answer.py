"""What the governor answers: yes or no, the reason in words, and every check behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evergreen.monitoring.governor.training_window import WindowPlan

# trigger: a reason to retrain; limit: a reason not to.
CheckKind = Literal["trigger", "limit"]
# fired: the trigger is a reason to retrain. passed: the limit allows it. blocked: it forbids it.
# idle: the trigger is no reason. off: not declared. unknown: the evidence is missing.
# overridden: the limit forbids it, but a person asked for the retrain by hand.
CheckResult = Literal["fired", "idle", "passed", "blocked", "overridden", "off", "unknown"]


@dataclass(frozen=True)
class GovernorCheck:
    """One rule of the policy: what was measured (`value`), what it was compared with (`limit`), both in words
    with units, the result, and the sentence for the reason."""

    name: str
    kind: CheckKind
    result: CheckResult
    value: str
    limit: str
    text: str

    def to_json(self) -> dict[str, Any]:
        """The check as a decision keeps it."""
        return dict(vars(self))

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> GovernorCheck:
        """What `to_json` wrote."""
        return GovernorCheck(**document)


@dataclass(frozen=True)
class RetrainAnswer:
    """Whether to retrain, and why.

    `reason` is "yes, because ..." or "no, because ...". `trigger` is the name of the trigger that counts
    first; "" where none fired. `window` says which rows to train on; None without a retrain. `checks` are
    all rules in the order in which they count, triggers first.
    """

    retrain: bool
    reason: str
    trigger: str = ""
    window: WindowPlan | None = None
    checks: tuple[GovernorCheck, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The answer as a decision keeps it."""
        return {
            "retrain": self.retrain,
            "reason": self.reason,
            "trigger": self.trigger,
            "window": self.window.to_json() if self.window else None,
            "checks": [check.to_json() for check in self.checks],
        }

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> RetrainAnswer:
        """What `to_json` wrote."""
        window = document["window"]
        return RetrainAnswer(
            retrain=document["retrain"],
            reason=document["reason"],
            trigger=document["trigger"],
            window=WindowPlan.from_json(window) if window else None,
            checks=tuple(map(GovernorCheck.from_json, document["checks"])),
        )
