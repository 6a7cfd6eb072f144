"""Approval: a person says whether a version that passed the gate may become champion."""

from __future__ import annotations

from evergreen.errors import TrainingError
from evergreen.loop.deployment import promotion
from evergreen.loop.train_results import PromotionResult
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession.candidates import Candidate, record_answer
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.training_run import find_waiting_run, get_run_of_version, get_training_run
from evergreen.usecases import load_use_case


def answer_approval(
    settings: Settings, training_run: str, approved: bool, actor: str, reason: str = ""
) -> PromotionResult:
    """Write a person's answer into the ledger, and promote the version or leave it out accordingly.

    The first answer stands. Returns what `promotion.promote_candidate` returns. Raises TrainingError when the
    version did not pass the gate, was not registered yet, or needs no approval.
    """
    database = get_engine(settings)
    run = get_training_run(database, training_run)
    use_case = load_use_case(run.use_case, settings)
    if run.model_version is None or run.verdict is None:
        raise TrainingError(
            f"training run {run.id} of {run.use_case} is {run.status}: there is no version to approve yet",
            hint=f"let it go on: evergreen train {run.use_case} --as-of {run.as_of.isoformat()}",
        )
    candidate = Candidate.from_run(run)
    if not candidate.verdict.passed:
        raise TrainingError(
            f"{run.use_case} version {candidate.version} did not pass the gate: approval cannot let it in",
            hint=f"evergreen gate explain {run.use_case} {candidate.version} tells why",
        )
    if not run.finished:
        if use_case.approval != "manual":
            raise _build_no_approval_error(run.use_case)
        default_reason = "approved" if approved else "denied"
        with lock_use_case(database, run.use_case):
            record_answer(
                database, candidate, approved=approved, actor=actor, reason=reason or default_reason
            )
    return promotion.promote_candidate(settings, training_run)


def find_run_to_approve(settings: Settings, use_case_name: str, version: int | None = None) -> str:
    """The training run of that version; None: of the version that waits for an answer.

    Raises TrainingError when there is none, or the use case needs no approval.
    """
    use_case = load_use_case(use_case_name, settings)
    if use_case.approval != "manual":
        raise _build_no_approval_error(use_case_name)
    database = get_engine(settings)
    if version is not None:
        return get_run_of_version(database, use_case_name, version).id
    run = find_waiting_run(database, use_case_name)
    if run is None:
        raise TrainingError(
            f"no version of {use_case_name} waits for an answer",
            hint=f"evergreen ledger {use_case_name} shows what was decided",
        )
    return run.id


def _build_no_approval_error(use_case_name: str) -> TrainingError:
    return TrainingError(
        f"{use_case_name} needs no approval: what passes its gate goes live",
        hint='declare approval="manual" in the use case to be asked',
    )
