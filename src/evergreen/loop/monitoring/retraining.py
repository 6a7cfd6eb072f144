"""The first step of a training: the decision that it may begin, on record like those of the governor.

A training that the governor asked for has its decision already. One that a person, the schedule or new data
start is decided on here, by the same policy on the same inputs: a schedule or new data may be told no, a
person never is.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypedDict

from sqlalchemy import Engine

from evergreen.moments import refuse_future
from evergreen.monitoring.evidence.collect import collect_governor_inputs
from evergreen.monitoring.governor.decide import decide
from evergreen.registry.champion_history import find_last_change
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.records.checks.decision import (
    MANUAL,
    Decision,
    DecisionCheck,
    compute_decision_id,
    find_decision,
    get_decision,
    lock_decisions,
    save_decision,
)
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# What starts a training beside the governor's asset.
TrainingCause = Literal["manual", "schedule", "new data"]


class TrainingDecision(TypedDict):
    """Whether the training may begin, what led to it, the reason in words, and the decision's id."""

    retrain: bool
    trigger: str
    reason: str
    decision: str


def decide_training(
    settings: Settings,
    use_case_name: str,
    as_of: datetime,
    cause: TrainingCause = "manual",
    reason: str = "manual",
) -> TrainingDecision:
    """The decision on a training as of a moment: the governor's yes where there is one, else a new one.

    `reason` is a person's. A second call returns what stands. Raises SettingsError for a moment in the
    future.
    """
    refuse_future(as_of)
    use_case, database = load_use_case(use_case_name, settings), get_engine(settings)
    apply_migrations(database)
    own_id = compute_decision_id(use_case_name, as_of, cause)
    decision = _find_standing(database, use_case_name, as_of, own_id)
    if decision is None:
        with lock_decisions(database, use_case_name):
            # The governor may have decided meanwhile.
            decision = _find_standing(database, use_case_name, as_of, own_id)
            decision = decision or _decide(database, use_case, as_of, cause, reason, own_id)
    logger.info("train: %s", decision.reason)
    return TrainingDecision(
        retrain=decision.retrain,
        trigger=decision.trigger or "",
        reason=decision.cause if decision.trigger != MANUAL else reason,
        decision=decision.id,
    )


def _find_standing(database: Engine, use_case_name: str, as_of: datetime, own_id: str) -> Decision | None:
    """The governor's yes as of that moment, else the decision of that id; None where neither is made."""
    governor = find_decision(database, use_case_name, as_of)
    return governor if governor is not None and governor.retrain else get_decision(database, own_id)


def _decide(
    database: Engine,
    use_case: UseCase,
    as_of: datetime,
    cause: TrainingCause,
    reason: str,
    decision_id: str,
) -> Decision:
    # Of the ledger, because a training begins also while MLflow is away for a moment.
    now, change = datetime.now(UTC), find_last_change(database, use_case.name)
    inputs = collect_governor_inputs(
        database,
        use_case,
        (change.to_version or 0) if change else 0,
        as_of,
        now=now,
        manual_reason=(reason or MANUAL) if cause == MANUAL else "",
        new_rows=cause == "new data",
        scheduled=cause == "schedule",
    )
    # Trainings take turns by a lock of their own: one that is under way is no reason for a no here.
    inputs = replace(inputs, running_since=None, running_reason="")
    answer = decide(use_case.retrain, inputs)
    return save_decision(
        database,
        Decision(
            id=decision_id,
            use_case=use_case.name,
            as_of=as_of,
            retrain=answer.retrain,
            reason=answer.reason,
            drift_report_id=None,
            created_at=now,
            trigger=answer.trigger,
            inputs=inputs.to_json(),
            checks=tuple(DecisionCheck(**vars(check)) for check in answer.checks),
            window=answer.window.to_json() if answer.window else None,
        ),
    )
