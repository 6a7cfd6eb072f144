"""Decisions whether to retrain, as MariaDB keeps them: one row per evaluation, with all that it rested on.

The governor decides once as of a moment, in a check. A training that a person, the schedule or new data start
is decided on too: such a decision has a row of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.store.connection.json_columns import format_json_object, parse_json_object
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import RETRAIN_DECISION

# The trigger of a retraining that a person asked for.
MANUAL: Final = "manual"


@dataclass(frozen=True)
class DecisionCheck:
    """One rule of the policy as it was checked: see `monitoring.governor.answer.GovernorCheck`. A field that
    the record lacks is ""."""

    name: str = ""
    kind: str = ""
    result: str = ""
    value: str = ""
    limit: str = ""
    text: str = ""


@dataclass(frozen=True)
class _CheckList:
    """The document of the column `checks`."""

    checks: tuple[DecisionCheck, ...]


@dataclass(frozen=True)
class Decision:
    """Whether to retrain as of a moment, with the reason in words. Moments are aware UTC.

    `trigger` is what fired, "" for nothing; `inputs` and `window` are the JSON of `monitoring.governor`'s
    GovernorInputs and WindowPlan, which read them; `checks` are all rules of the policy. All four are None in
    rows of versions that did not record them, `window` also where the answer is no.
    """

    id: str
    use_case: str
    as_of: datetime
    retrain: bool
    reason: str
    drift_report_id: str | None
    created_at: datetime
    trigger: str | None = None
    inputs: JsonObject | None = None
    checks: tuple[DecisionCheck, ...] | None = None
    window: JsonObject | None = None

    @property
    def cause(self) -> str:
        """The reason without its yes: what led to the retraining."""
        return self.reason.removeprefix("yes, because ")


@dataclass(frozen=True)
class DecisionSummary:
    """A decision in short, for overviews. The moment is aware UTC."""

    as_of: datetime
    retrain: bool
    reason: str

    def to_json(self) -> Mapping[str, datetime | bool | str]:
        """The fields, the moment as it is."""
        return vars(self)


def compute_decision_id(use_case_name: str, as_of: datetime, cause: str = "") -> str:
    """The id of the decision of (use_case, as_of), a UUIDv5: the governor's, or with a cause ("manual",
    "schedule", "new data") that on a training which was started so."""
    moment = to_naive_utc(as_of).isoformat()
    kind = f"decision:{cause}" if cause else "decision"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"evergreen:{kind}:{use_case_name}:{moment}"))


@contextmanager
def lock_decisions(engine: sa.Engine, use_case_name: str) -> Iterator[None]:
    """Nobody else decides on the use case meanwhile, so that a decision knows those before it. Raises
    StoreError where another process decides for minutes."""
    with engine.connect() as connection, hold_lock(connection, f"decide.{use_case_name}"):
        connection.rollback()
        yield


def save_decision(engine: sa.Engine, decision: Decision) -> Decision:
    """Write a decision unless one of its id exists; the one that is stored then."""
    insert = sa.dialects.mysql.insert(RETRAIN_DECISION).values(
        id=decision.id,
        use_case=decision.use_case,
        as_of=to_naive_utc(decision.as_of),
        retrain=decision.retrain,
        reason=decision.reason,
        drift_report_id=decision.drift_report_id,
        created_at=to_naive_utc(decision.created_at),
        trigger_name=decision.trigger,
        inputs=format_json_object(decision.inputs),
        checks=None
        if decision.checks is None
        else format_json_object(write_document(_CheckList(decision.checks))),
        training_window=format_json_object(decision.window),
    )
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(id=RETRAIN_DECISION.c.id))
    winner = get_decision(engine, decision.id)
    assert winner is not None
    return winner


def get_decision(engine: sa.Engine, decision_id: str) -> Decision | None:
    """The decision of that id, if there is one."""
    decisions = _read_decisions(
        engine, sa.select(RETRAIN_DECISION).where(RETRAIN_DECISION.c.id == decision_id)
    )
    return decisions[0] if decisions else None


def find_decision(engine: sa.Engine, use_case_name: str, as_of: datetime) -> Decision | None:
    """The governor's decision of exactly that moment, if there is one."""
    return get_decision(engine, compute_decision_id(use_case_name, as_of))


def list_decisions(
    engine: sa.Engine,
    use_case_name: str,
    *,
    since: datetime | None = None,
    before: datetime | None = None,
    retrain: bool | None = None,
    limit: int = 20,
) -> list[Decision]:
    """Decisions as of a moment from `since` on and earlier than `before` (aware), the newest first; with
    `retrain` only the yes or only the no. None before the table exists."""
    c = RETRAIN_DECISION.c
    statement = sa.select(RETRAIN_DECISION).where(c.use_case == use_case_name)
    if since is not None:
        statement = statement.where(c.as_of >= to_naive_utc(since))
    if before is not None:
        statement = statement.where(c.as_of < to_naive_utc(before))
    if retrain is not None:
        statement = statement.where(c.retrain == int(retrain))
    return _read_decisions(engine, statement.order_by(c.as_of.desc(), c.created_at.desc()).limit(limit))


def find_last_retrain(engine: sa.Engine, use_case_name: str, before: datetime) -> Decision | None:
    """The last decision to retrain of an earlier moment than `before`."""
    decisions = list_decisions(engine, use_case_name, before=before, retrain=True, limit=1)
    return decisions[0] if decisions else None


def describe_latest_decision(engine: sa.Engine, use_case_name: str) -> DecisionSummary | None:
    """The latest decision that no person asked for, in short; None before the first."""
    c = RETRAIN_DECISION.c
    statement = sa.select(RETRAIN_DECISION).where(
        c.use_case == use_case_name, c.trigger_name.is_distinct_from(MANUAL)
    )
    decisions = _read_decisions(engine, statement.order_by(c.as_of.desc(), c.created_at.desc()).limit(1))
    if not decisions:
        return None
    return DecisionSummary(decisions[0].as_of, decisions[0].retrain, decisions[0].reason)


def _read_decisions(engine: sa.Engine, statement: sa.Select[*tuple[Any, ...]]) -> list[Decision]:
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return [_parse_decision(row) for row in rows]


def _parse_decision(row: sa.Row[Any]) -> Decision:
    checks = parse_json_object(row.checks)
    return Decision(
        id=row.id,
        use_case=row.use_case,
        as_of=to_aware_utc(row.as_of),
        retrain=bool(row.retrain),
        reason=row.reason,
        drift_report_id=row.drift_report_id,
        created_at=to_aware_utc(row.created_at),
        trigger=row.trigger_name,
        inputs=parse_json_object(row.inputs),
        checks=None if checks is None else read_document(_CheckList, checks).checks,
        window=parse_json_object(row.training_window),
    )
