"""The end of a training: its version becomes champion or does not, and why.

Deploy's tasks and a person's answer come here too. They train nothing, so this module does not load what the
steps before (`loop/train.py`) need.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from evergreen.errors import TrainingError
from evergreen.loop.monitoring.alerts import tell_rejection
from evergreen.loop.train_results import PromotionResult, RejectionResult
from evergreen.model.judging.verdict import Verdict
from evergreen.registry.connection import retry_while_unreachable
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession import candidates
from evergreen.registry.succession.candidates import TrialFinding
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records import training_run as runs
from evergreen.store.records.training_run import TrainingRun
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

# The triggers that say that the champion is not as good as it was.
TROUBLES = frozenset({"drift", "realised drop", "estimated drop"})


def promote_candidate(
    settings: Settings, training_run: str, finding: TrialFinding | None = None
) -> PromotionResult:
    """Make the version champion if it passed the gate; either way write the ledger.

    If another training promoted its candidate since this one was compared, the comparison no longer holds
    and this one is rejected. Where a person must approve and has not answered yet, or the declared trial has
    not ended, nothing changes. `finding` is what a trial that has ended says of the candidate's quality.
    """
    database, run, use_case = open_run(settings, training_run)
    if run.model_version is None:
        raise build_order_error(run, "register")
    verdict = require_verdict(run)
    candidate = candidates.Candidate.from_run(run)
    needs_approval = use_case.approval == "manual"

    with lock_use_case(database, use_case.name):
        run = runs.get_training_run(database, run.id)
        if run.finished:
            settlement = candidates.read_settlement(database, candidate, run.status)
        else:
            settlement = retry_while_unreachable(
                lambda: candidates.settle_candidate(
                    settings,
                    database,
                    candidate,
                    needs_approval=needs_approval,
                    needs_trial=use_case.trial is not None,
                    without_verdict=use_case.trial.without_verdict if use_case.trial else "promote",
                    finding=finding,
                )
            )
            finished_at = None if settlement.outcome == "waiting" else datetime.now(UTC)
            run = runs.update_training_run(
                database, run.id, status=settlement.outcome, finished_at=finished_at
            )
    if settlement.outcome == "rejected":
        tell_rejection(settings, run, settlement.reason or verdict.summary)
    return {
        "training_run": run.id,
        "version": run.model_version,
        "promoted": settlement.outcome == "promoted",
        "waiting": settlement.outcome == "waiting",
        "on_trial": settlement.on_trial,
        "reason": settlement.reason or verdict.summary,
        "warnings": [check.reason for check in verdict.warnings],
    }


def describe_rejection(settings: Settings, training_run: str) -> RejectionResult:
    """Whether the gate, a person or a trial has rejected the candidate of a training, and why.

    `after_trouble`: the training was to mend drift or a drop in quality, so that a rejection leaves it
    unmended.
    """
    database, run, _ = open_run(settings, training_run)
    if run.status not in ("rejected", "denied"):
        return {"rejected": False, "after_trouble": False, "reason": ""}
    settlement = candidates.read_settlement(database, candidates.Candidate.from_run(run), run.status)
    trouble = run.trigger_name in TROUBLES
    reason = f"v{run.model_version} was {run.status}, and the champion stays: {settlement.reason}"
    return {"rejected": True, "after_trouble": trouble, "reason": reason}


def open_run(settings: Settings, training_run: str) -> tuple[sa.Engine, TrainingRun, UseCase]:
    """The store, that training run, and its use case as declared now.

    Raises TrainingError where there is no such run, UnknownUseCase.
    """
    database = get_engine(settings)
    run = runs.get_training_run(database, training_run)
    return database, run, load_use_case(run.use_case, settings)


def require_verdict(run: TrainingRun) -> Verdict:
    """What the gate said of the run's candidate. Raises TrainingError before the gate."""
    if run.verdict is None:
        raise build_order_error(run, "gate")
    return Verdict.from_json(run.verdict)


def build_order_error(run: TrainingRun, missing: str) -> TrainingError:
    """The error of a step for which the step `missing` has not been done."""
    return TrainingError(
        f"training run {run.id} of {run.use_case} is {run.status}: its step {missing!r} has not been done",
        hint=f"run the steps in order: evergreen train {run.use_case} --as-of {run.as_of.isoformat()}",
    )
