"""The last step: the alias and the ledger, once for each training run whatever is killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from evergreen.registry import ledger, models
from evergreen.registry.champion import PROMOTED_AT, champion
from evergreen.settings import Settings
from evergreen.store.database import exclusive
from evergreen.training.gate import Verdict
from evergreen.training.runs import TrainingRun

ACTOR = "gate"


@contextmanager
def alone(database: sa.Engine, use_case: str) -> Iterator[None]:
    """Let one training of a use case at a time change the registry; the others wait their turn."""
    with database.connect() as connection, exclusive(connection, f"training.{use_case}"):
        yield


def settle(settings: Settings, database: sa.Engine, run: TrainingRun, verdict: Verdict) -> bool:
    """Promote or reject the run's version, write the ledger, and say which. Call it within `alone`.

    The ledger comes before the alias: what a kill in between leaves is a line without its champion, and
    never a champion that nobody accounts for; the rerun completes it. A verdict only holds against the
    champion it was found with: if there is another by now, this version is rejected, unless it was champion
    in between.
    """
    assert run.metrics is not None
    assert run.model_version is not None
    compared = run.metrics["champion_version"]
    present = champion(settings, run.use_case)
    present_version = present.version if present else None
    stands = present_version in (compared, run.model_version)
    if not stands and PROMOTED_AT in models.version_of(settings, run.use_case, run.model_version).tags:
        return True  # it was champion, this step was killed, and by now somebody else is
    line: dict[str, Any] = {
        "use_case": run.use_case,
        "from_version": compared,
        "to_version": run.model_version,
        "training_run_id": run.id,
        "actor": ACTOR,
        "verdict": verdict.to_json(),
    }
    if not verdict.passed or not stands:
        reason = verdict.summary if not verdict.passed else _overtaken(compared, present_version)
        ledger.record(database, action="reject", reason=reason, **line)
        return False
    entry = ledger.record(database, action="promote", reason=verdict.summary, **line)
    models.set_champion(settings, run.use_case, run.model_version, entry.at)
    return True


def reason(database: sa.Engine, run: TrainingRun) -> str:
    """Why the run ended as it did, as the ledger has it; empty while it has no line."""
    action: ledger.Action = "promote" if run.status == "promoted" else "reject"
    line = ledger.find(database, run.use_case, action, training_run_id=run.id)
    return line.reason if line else ""


def _overtaken(compared: int | None, present: int | None) -> str:
    with_whom = f"champion v{compared}" if compared else "the baseline"
    since = f"v{present} became champion" if present else "the champion was removed"
    return (
        f"rejected: it was compared with {with_whom}, and meanwhile {since}; train again as of a later moment"
    )
