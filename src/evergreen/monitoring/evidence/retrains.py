"""Earlier decisions to retrain, and what became of them: from the training runs and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from evergreen.monitoring.governor.inputs import Outcome, PastRetrain
from evergreen.monitoring.governor.training_window import WindowPlan
from evergreen.monitoring.governor.wording import format_duration
from evergreen.registry import ledger
from evergreen.registry.champion_history import find_last_change
from evergreen.store.connection.locks import is_locked
from evergreen.store.records.checks.decision import Decision, list_decisions
from evergreen.store.records.training_run import TrainingRun, find_training_run, find_unfinished_run
from evergreen.usecase import UseCase

# Between its steps a training holds no lock: for so long after its start it is taken for running all the
# same.
STEP_GAP = timedelta(hours=1)
# How long a training may take from its start to the wait of its candidate, beside the declared waits.
_TRAINING_TIME = timedelta(days=1)
_MOST_RETRAINS = 200
_LATEST_RETRAINS = 20


@dataclass(frozen=True)
class RetrainOutcome:
    """What became of a decision to retrain: the outcome, the version that was trained (None for none yet),
    and why, in words."""

    outcome: Outcome
    version: int | None
    reason: str


@dataclass(frozen=True)
class RetrainUnderWay:
    """A retraining that has not ended: since when (aware UTC), and how it stands, in words."""

    since: datetime
    reason: str


def find_retrain_outcome(
    engine: sa.Engine, use_case: UseCase, decision: Decision, now: datetime
) -> RetrainOutcome:
    """What became of a decision to retrain by `now` (aware). Of a finished training the ledger tells why.

    A candidate that waits is "running" while its verdict holds and the declared time for its approval and its
    trial has not passed, and "unknown" after that.
    """
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
        return _judge_wait(engine, use_case, run, now)
    if is_training_alive(engine, run, now):
        return RetrainOutcome("running", run.model_version, f"the training is {run.status}")
    return RetrainOutcome("failed", run.model_version, f"the training ended early, after it was {run.status}")


def _judge_wait(engine: sa.Engine, use_case: UseCase, run: TrainingRun, now: datetime) -> RetrainOutcome:
    """What a candidate's wait for an approval or for the end of its trial counts as, and what ends it."""
    version, way_out = run.model_version, _describe_way_out(use_case, run)
    last_change = find_last_change(engine, use_case.name)
    champion = last_change.to_version if last_change else None
    rival = run.champion_version
    if champion not in (rival, version):
        names = [f"v{each}" if each else "nobody" for each in (rival, champion)]
        change = f"was compared with {names[0]}, and {names[1]} is champion now"
        return RetrainOutcome("unknown", version, f"v{version} {change}: {way_out} settles it")
    limit = _compute_longest_wait(use_case)
    if now - run.started_at >= limit:
        delay = f"waits although {format_duration(limit)} have passed since its training began"
        return RetrainOutcome("unknown", version, f"v{version} {delay}: {way_out} settles it")
    reason = f"v{version} passed the gate and waits for an approval or for the end of its trial: {way_out}"
    return RetrainOutcome("running", version, reason)


def _compute_longest_wait(use_case: UseCase) -> timedelta:
    """From the start of a training, how long its candidate may wait."""
    limit = _TRAINING_TIME
    if use_case.approval == "manual":
        limit += use_case.approval_timeout
    return limit + use_case.trial.duration if use_case.trial else limit


def _describe_way_out(use_case: UseCase, run: TrainingRun) -> str:
    """The commands that promote or reject a waiting candidate."""
    commands = []
    if use_case.approval == "manual":
        commands.append(f"evergreen approve {use_case.name} {run.model_version}")
    if use_case.trial is not None:
        commands.append(f"evergreen run deploy {use_case.name}")
    # It waits by an earlier declaration.
    again = f"evergreen train {use_case.name} --as-of {run.as_of.isoformat()}"
    return " or ".join(commands) or again


def list_past_retrains(
    engine: sa.Engine, use_case: UseCase, since: datetime, now: datetime
) -> tuple[PastRetrain, ...]:
    """The decisions to retrain as of moments from `since` on (aware), oldest first."""
    decisions = list_decisions(engine, use_case.name, since=since, retrain=True, limit=_MOST_RETRAINS)
    return tuple(
        PastRetrain(
            as_of=each.as_of,
            trigger=each.trigger or "drift",
            outcome=find_retrain_outcome(engine, use_case, each, now).outcome,
            drift_since=_read_drift_start(each),
        )
        for each in reversed(decisions)
    )


def _read_drift_start(decision: Decision) -> datetime | None:
    return WindowPlan.from_json(decision.window).drift_since if decision.window else None


def find_retrain_under_way(engine: sa.Engine, use_case: UseCase, now: datetime) -> RetrainUnderWay | None:
    """The retraining of that use case that is under way by `now` (aware): one runs, or was decided on and has
    not begun, or its candidate waits for an approval or for the end of its trial. None where none is."""
    run = find_running_training(engine, use_case.name, now)
    if run is not None:
        return RetrainUnderWay(run.started_at, f"the training is {run.status}")
    # Whatever is older than the last promotion was overtaken by it.
    for decision in list_decisions(engine, use_case.name, retrain=True, limit=_LATEST_RETRAINS):
        result = find_retrain_outcome(engine, use_case, decision, now)
        if result.outcome == "promoted":
            return None
        if result.outcome == "running":
            return RetrainUnderWay(decision.created_at, result.reason)
    return None


def find_running_training(engine: sa.Engine, use_case_name: str, now: datetime) -> TrainingRun | None:
    """The training of that use case that is under way; None where none is, or where it was interrupted."""
    run = find_unfinished_run(engine, use_case_name, besides="")
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
