"""The last step: the alias and the ledger, once for each training run whatever is killed in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.model.judging.verdict import Verdict
from evergreen.registry import ledger, models
from evergreen.registry.champion import PROMOTED_AT, read_champion
from evergreen.registry.lock import lock_use_case as lock_use_case
from evergreen.registry.reconcile import reconcile_ledger_under_lock
from evergreen.settings import Settings
from evergreen.store.records.training_run import TrainingRun
from evergreen.usecase import UseCase

ACTOR = "gate"


@dataclass(frozen=True)
class Settlement:
    """How a training ended: `outcome` is also its status; "waiting" is for a person's answer."""

    outcome: Literal["promoted", "rejected", "denied", "waiting"]
    reason: str


def record_answer(
    database: sa.Engine, run: TrainingRun, *, approved: bool, actor: str, reason: str
) -> ledger.Entry:
    """Write a person's answer into the ledger. The first one stands. Call it within `lock_use_case`."""
    standing = find_answer(database, run)
    if standing is not None:
        return standing
    assert run.metrics is not None
    return ledger.append_entry(
        database,
        use_case=run.use_case,
        action="approve" if approved else "deny",
        from_version=run.metrics["champion_version"],
        to_version=run.model_version,
        training_run_id=run.id,
        mlflow_run_id=run.mlflow_run_id,
        actor=actor,
        reason=reason,
        verdict=run.verdict,
    )


def find_answer(database: sa.Engine, run: TrainingRun) -> ledger.Entry | None:
    """What a person said to this training's version, if anybody did."""
    actions: tuple[ledger.Action, ...] = ("approve", "deny")
    for action in actions:
        line = ledger.find_entry(
            database, run.use_case, action, training_run_id=run.id, mlflow_run_id=run.mlflow_run_id
        )
        if line is not None:
            return line
    return None


def settle_training(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun, verdict: Verdict
) -> Settlement:
    """Promote or reject the run's version, write the ledger, and say which. Call it within `lock_use_case`.

    The ledger comes before the alias: what a kill in between leaves is a line without its champion, and
    never a champion that nobody accounts for; the rerun completes it. A verdict only holds against the
    champion it was found with: if there is another by now, this version is rejected, unless it was champion
    in between. With `approval="manual"` a version that passed waits for a person's answer.
    """
    assert run.metrics is not None
    assert run.model_version is not None
    compared = run.metrics["champion_version"]
    reconcile_ledger_under_lock(settings, database, run.use_case)
    present = read_champion(settings, run.use_case)
    present_version = present.version if present else None
    stands = present_version in (compared, run.model_version)
    if not stands and PROMOTED_AT in models.read_version(settings, run.use_case, run.model_version).tags:
        return Settlement(
            "promoted", read_reason(database, run, "promote")
        )  # and by now somebody else is champion
    line: dict[str, Any] = {
        "use_case": run.use_case,
        "from_version": compared,
        "to_version": run.model_version,
        "training_run_id": run.id,
        "mlflow_run_id": run.mlflow_run_id,
        "actor": ACTOR,
        "verdict": verdict.to_json(),
    }
    if not verdict.passed or not stands:
        told = verdict.summary if not verdict.passed else _describe_overtaken(compared, present_version)
        ledger.append_entry(database, action="reject", reason=told, **line)
        return Settlement("rejected", told)
    if use_case.approval == "manual":
        said = find_answer(database, run)
        if said is None:
            return Settlement("waiting", f"{verdict.summary}; waiting for somebody's approval")
        if said.action == "deny":
            return Settlement("denied", f"denied by {said.actor}: {said.reason}")
        line["actor"] = said.actor
    entry = ledger.append_entry(database, action="promote", reason=verdict.summary, **line)
    if entry == ledger.find_last_change(database, run.use_case):
        models.set_champion(settings, run.use_case, run.model_version, entry.at)
    # Otherwise it was champion already, and was rolled back since: that stands.
    return Settlement("promoted", verdict.summary)


def read_settlement(database: sa.Engine, run: TrainingRun) -> Settlement:
    """How a finished training ended, as the ledger has it."""
    assert run.status in ("promoted", "rejected", "denied")
    if run.status == "denied":
        said = find_answer(database, run)
        return Settlement("denied", f"denied by {said.actor}: {said.reason}" if said else "")
    outcome: Literal["promoted", "rejected"] = "promoted" if run.status == "promoted" else "rejected"
    return Settlement(outcome, read_reason(database, run, "promote" if outcome == "promoted" else "reject"))


def read_reason(database: sa.Engine, run: TrainingRun, action: ledger.Action) -> str:
    """Why the run's version was promoted or rejected, as the ledger has it; empty while it has no line."""
    line = ledger.find_entry(
        database, run.use_case, action, training_run_id=run.id, mlflow_run_id=run.mlflow_run_id
    )
    return line.reason if line else ""


def _describe_overtaken(compared: int | None, present: int | None) -> str:
    with_whom = f"champion v{compared}" if compared else "the baseline"
    since = f"v{present} became champion" if present else "the champion was removed"
    return (
        f"rejected: it was compared with {with_whom}, and meanwhile {since}; train again as of a later moment"
    )
