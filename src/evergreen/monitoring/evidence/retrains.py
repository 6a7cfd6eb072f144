"""Earlier decisions to retrain, and what became of them: from the training runs and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.monitoring.governor.inputs import Outcome, PastRetrain
from evergreen.monitoring.governor.training_window import WindowPlan
from evergreen.registry import ledger
from evergreen.store.connection.locks import is_locked
from evergreen.store.records.checks.decision import Decision, list_decisions
from evergreen.store.records.training_run import TrainingRun, find_training_run, find_unfinished_run

# Between its steps a training holds no lock: for so long after its start it is taken for running all the
# same.
STEP_GAP = timedelta(hours=1)
_MOST_RETRAINS = 200
_LATEST_RETRAINS = 20


@dataclass(frozen=True)
class RetrainOutcome:
    """What became of a decision to retrain: the outcome, the version that was trained (None for none yet),
    and why, in words."""

    outcome: Outcome
    version: int | None
    reason: str


def find_retrain_outcome(engine: sa.Engine, decision: Decision, now: datetime) -> RetrainOutcome:
    """What became of a decision to retrain by `now` (aware). Of a finished training the ledger tells why."""
    run = find_training_run(engine, decision.use_case, decision.as_of)
    if run is None:
        if now - decision.created_at < STEP_GAP:
            return RetrainOutcome("running", None, "the training has not begun yet")
        return RetrainOutcome("unknown", None, "no training was begun")
    if run.status == "promoted":
        return RetrainOutcome("promoted", run.model_version, _read_ledger_reason(engine, run, "promote"))
    if run.status == "rejected":
        return RetrainOutcome("rejected", run.model_version, _read_ledger_reason(engine, run, "reject"))
    if run.status == "denied":
        return RetrainOutcome("rejected", run.model_version, _read_ledger_reason(engine, run, "deny"))
    if run.status == "waiting":
        reason = "it passed the gate and waits for an approval or for the end of its trial"
        return RetrainOutcome("running", run.model_version, reason)
    if is_training_alive(engine, run, now):
        return RetrainOutcome("running", run.model_version, f"the training is {run.status}")
    return RetrainOutcome("failed", run.model_version, f"the training ended early, after it was {run.status}")


def list_past_retrains(
    engine: sa.Engine, use_case: str, since: datetime, before: datetime, now: datetime
) -> tuple[PastRetrain, ...]:
    """The decisions to retrain as of moments from `since` on and earlier than `before` (aware), oldest
    first."""
    decisions = list_decisions(
        engine, use_case, since=since, before=before, retrain=True, limit=_MOST_RETRAINS
    )
    return tuple(
        PastRetrain(
            as_of=each.as_of,
            trigger=each.trigger or "drift",
            outcome=find_retrain_outcome(engine, each, now).outcome,
            drift_since=_read_drift_start(each),
        )
        for each in reversed(decisions)
    )


def _read_drift_start(decision: Decision) -> datetime | None:
    return WindowPlan.from_json(decision.window).drift_since if decision.window else None


def find_retrain_under_way(engine: sa.Engine, use_case: str, now: datetime) -> datetime | None:
    """Since when a retraining of that use case is under way by `now` (aware): one runs, or was decided on and
    has not begun, or its candidate waits for an approval or for the end of its trial. None where none is."""
    run = find_running_training(engine, use_case, now)
    if run is not None:
        return run.started_at
    # Whatever is older than the last promotion was overtaken by it.
    for decision in list_decisions(engine, use_case, retrain=True, limit=_LATEST_RETRAINS):
        outcome = find_retrain_outcome(engine, decision, now).outcome
        if outcome == "promoted":
            return None
        if outcome == "running":
            return decision.created_at
    return None


def find_running_training(engine: sa.Engine, use_case: str, now: datetime) -> TrainingRun | None:
    """The training of that use case that is under way; None where none is, or where it was interrupted."""
    run = find_unfinished_run(engine, use_case, besides="")
    return run if run is not None and is_training_alive(engine, run, now) else None


def is_training_alive(engine: sa.Engine, run: TrainingRun, now: datetime) -> bool:
    """Whether somebody works on an unfinished training: it began lately, or a process holds its use case's
    training lock."""
    if now - run.started_at < STEP_GAP:
        return True
    with engine.connect() as connection:
        return is_locked(connection, f"fit.{run.use_case}.0")


def _read_ledger_reason(engine: sa.Engine, run: TrainingRun, action: ledger.Action) -> str:
    entry = ledger.find_entry(engine, run.use_case, action, training_run_id=run.id)
    return entry.reason if entry else ""
