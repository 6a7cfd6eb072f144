"""What the governor answers: yes or no, the reason in words, and every check behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evergreen.documents import JsonObject, read_document, write_document
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

    def to_json(self) -> JsonObject:
        """The answer with its window and its checks."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> RetrainAnswer:
        """What `to_json` wrote."""
        return read_document(RetrainAnswer, document)
