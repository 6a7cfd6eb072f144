"""Approval: a person says whether a version that passed the gate may become champion."""

from __future__ import annotations

from typing import Any

from evergreen.errors import TrainingError
from evergreen.loop import train
from evergreen.settings import Settings
from evergreen.usecases import load


def answer(
    settings: Settings, training_run: str, approved: bool, actor: str, reason: str = ""
) -> dict[str, Any]:
    """Write a person's answer into the ledger, and promote the version or leave it out accordingly.

    The first answer stands. Returns what `train.promote` returns. Raises TrainingError when the version did
    not pass the gate, was not registered yet, or needs no approval.
    """
    from evergreen.registry import promotion
    from evergreen.store.connection.database import engine
    from evergreen.store.records import training_run as runs

    database = engine(settings)
    run = runs.get(database, training_run)
    declared = load(run.use_case, settings)
    if run.model_version is None or run.verdict is None:
        raise TrainingError(
            f"training run {run.id} of {run.use_case} is {run.status}: there is no version to approve yet",
            hint=f"let it go on: evergreen train {run.use_case} --as-of {run.as_of.isoformat()}",
        )
    if not run.verdict["passed"]:
        raise TrainingError(
            f"{run.use_case} version {run.model_version} did not pass the gate: approval cannot let it in",
            hint=f"evergreen gate explain {run.use_case} {run.model_version} tells why",
        )
    if not run.finished:
        if declared.approval != "manual":
            raise _asks_nobody(run.use_case)
        with promotion.alone(database, run.use_case):
            promotion.answer(
                database,
                run,
                approved=approved,
                actor=actor,
                reason=reason or ("approved" if approved else "denied"),
            )
    return train.promote(settings, training_run)


def waiting(settings: Settings, use_case: str, version: int | None = None) -> str:
    """The training run of that version, or of the one that waits for an answer. Raises TrainingError."""
    from evergreen.store.connection.database import engine
    from evergreen.store.records import training_run as runs

    declared = load(use_case, settings)
    if declared.approval != "manual":
        raise _asks_nobody(use_case)
    database = engine(settings)
    if version is not None:
        return runs.of_version(database, use_case, version).id
    found = runs.latest_waiting(database, use_case)
    if found is None:
        raise TrainingError(
            f"no version of {use_case} waits for an answer",
            hint=f"evergreen ledger {use_case} shows what was decided",
        )
    return found.id


def _asks_nobody(use_case: str) -> TrainingError:
    return TrainingError(
        f"{use_case} needs no approval: what passes its gate goes live",
        hint='declare approval="manual" in the use case to be asked',
    )
