"""The decisions of a use case, each with what became of it: for `evergreen decisions`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evergreen.errors import StoreError
from evergreen.monitoring.evidence.retrains import RetrainOutcome, find_retrain_outcome
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.decision import Decision, list_decisions
from evergreen.store.records.training_run import find_training_run
from evergreen.training.data.training_window import TrainingWindow
from evergreen.usecases import load_use_case

# A shorter beginning of an id or of a moment could be anything.
_LEAST_TEXT = 4
_MOST_LOOKED_THROUGH = 10_000


@dataclass(frozen=True)
class DecisionEntry:
    """A decision with what became of it: `outcome` is None where the answer was no. `window` is the window of
    rows that the training chose, None where it did not, or chose none."""

    decision: Decision
    outcome: RetrainOutcome | None
    window: TrainingWindow | None = None

    def to_json(self) -> dict[str, Any]:
        """All of it as --json prints it, moments as they are."""
        decision = self.decision
        return {
            "decision": decision.id,
            "use_case": decision.use_case,
            "as_of": decision.as_of,
            "retrain": decision.retrain,
            "trigger": decision.trigger,
            "reason": decision.reason,
            "outcome": vars(self.outcome) if self.outcome else None,
            "training_window": self.window.to_json() if self.window else None,
            "check": decision.drift_report_id,
            "created_at": decision.created_at,
            "plan": decision.window,
            "checks": None if decision.checks is None else [vars(check) for check in decision.checks],
            "inputs": decision.inputs,
        }


def read_decisions(
    settings: Settings, use_case_name: str, *, last: int, since: datetime | None
) -> list[DecisionEntry]:
    """The last decisions of a use case, as of moments from `since` on (aware), the newest first."""
    engine = get_engine(settings)
    apply_migrations(engine)
    return [
        _build_entry(settings, decision)
        for decision in list_decisions(engine, use_case_name, since=since, limit=last)
    ]


def find_decision_entry(settings: Settings, use_case_name: str, wanted: str) -> DecisionEntry:
    """The newest decision whose id or whose moment (ISO 8601, UTC) begins so. Raises StoreError where there
    is none."""
    engine = get_engine(settings)
    apply_migrations(engine)
    text = wanted.strip().lower().replace(" ", "t")
    for decision in list_decisions(engine, use_case_name, limit=_MOST_LOOKED_THROUGH):
        names = (decision.id, decision.as_of.isoformat().lower())
        if len(text) >= _LEAST_TEXT and any(name.startswith(text) for name in names):
            return _build_entry(settings, decision)
    raise StoreError(
        f"{use_case_name} has no decision {wanted!r}",
        hint=f"evergreen decisions {use_case_name} shows their moments, and with --json their ids",
    )


def _build_entry(settings: Settings, decision: Decision) -> DecisionEntry:
    if not decision.retrain:
        return DecisionEntry(decision, None)
    engine = get_engine(settings)
    use_case = load_use_case(decision.use_case, settings)
    outcome = find_retrain_outcome(engine, use_case, decision, datetime.now(UTC))
    run = find_training_run(engine, decision.use_case, decision.as_of)
    window = TrainingWindow.from_json(run.training_window) if run and run.training_window else None
    return DecisionEntry(decision, outcome, window)
