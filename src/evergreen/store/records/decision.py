"""The governor's decisions whether to retrain, as MariaDB keeps them: one row per monitoring run."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import RETRAIN_DECISION


@dataclass(frozen=True)
class Decision:
    """Whether to retrain as of a moment, with the reason in words. Moments are aware UTC."""

    id: str
    use_case: str
    as_of: datetime
    retrain: bool
    reason: str
    drift_report_id: str | None
    created_at: datetime


@dataclass(frozen=True)
class DecisionSummary:
    """A decision in short, for overviews. The moment is aware UTC."""

    as_of: datetime
    retrain: bool
    reason: str

    def to_json(self) -> Mapping[str, datetime | bool | str]:
        """The fields, the moment as it is."""
        return vars(self)


def compute_decision_id(use_case: str, as_of: datetime) -> str:
    """The id of the decision of (use_case, as_of), a UUIDv5."""
    moment = to_naive_utc(as_of).isoformat()
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"evergreen:decision:{use_case}:{moment}"))


def save_decision(engine: sa.Engine, decision: Decision) -> Decision:
    """Write a decision unless one of the same moment exists; the one that is stored then."""
    insert = sa.dialects.mysql.insert(RETRAIN_DECISION).values(
        id=decision.id,
        use_case=decision.use_case,
        as_of=to_naive_utc(decision.as_of),
        retrain=decision.retrain,
        reason=decision.reason,
        drift_report_id=decision.drift_report_id,
        created_at=to_naive_utc(decision.created_at),
    )
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(id=RETRAIN_DECISION.c.id))
    winner = find_decision(engine, decision.use_case, decision.as_of)
    assert winner is not None
    return winner


def find_decision(engine: sa.Engine, use_case: str, as_of: datetime) -> Decision | None:
    """The decision of exactly that moment, if there is one."""
    return _read_newest(engine, use_case, RETRAIN_DECISION.c.as_of == to_naive_utc(as_of))


def find_last_retrain(engine: sa.Engine, use_case: str, before: datetime) -> Decision | None:
    """The last decision to retrain of an earlier moment than `before`."""
    c = RETRAIN_DECISION.c
    return _read_newest(engine, use_case, c.retrain == 1, c.as_of < to_naive_utc(before))


def describe_latest_decision(engine: sa.Engine, use_case: str) -> DecisionSummary | None:
    """The latest decision in short; None before the first."""
    decision = _read_newest(engine, use_case)
    if decision is None:
        return None
    return DecisionSummary(decision.as_of, decision.retrain, decision.reason)


def _read_newest(engine: sa.Engine, use_case: str, *conditions: sa.ColumnElement[Any]) -> Decision | None:
    c = RETRAIN_DECISION.c
    statement = sa.select(RETRAIN_DECISION).where(c.use_case == use_case, *conditions)
    with engine.connect() as connection:
        row = connection.execute(statement.order_by(c.as_of.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return Decision(
        id=row.id,
        use_case=row.use_case,
        as_of=to_aware_utc(row.as_of),
        retrain=bool(row.retrain),
        reason=row.reason,
        drift_report_id=row.drift_report_id,
        created_at=to_aware_utc(row.created_at),
    )
