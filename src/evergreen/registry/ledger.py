"""The ledger: append-only record of every promotion, rollback and rejection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.store.times import aware, naive

Action = Literal["promote", "reject", "rollback"]

_COLUMNS = "id, at, use_case, action, from_version, to_version, training_run_id, actor, reason, verdict"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `at` is aware UTC."""

    id: int
    at: datetime
    use_case: str
    action: Action
    from_version: int | None
    to_version: int | None
    training_run_id: str | None
    actor: str
    reason: str
    verdict: Mapping[str, Any] | None


def record(
    engine: sa.Engine,
    *,
    use_case: str,
    action: Action,
    from_version: int | None,
    to_version: int | None,
    training_run_id: str | None,
    actor: str,
    reason: str,
    verdict: Mapping[str, Any] | None = None,
    at: datetime | None = None,
) -> Entry:
    """Append a line, once per (use_case, action, training run, to_version); return the line that stands.

    `at` (aware) is when it happened: now, if not given. A line that already stands is not changed.
    """
    values = {
        "at": naive(at or datetime.now(UTC)),
        "use_case": use_case,
        "action": action,
        "from_version": from_version,
        "to_version": to_version,
        "training_run_id": training_run_id,
        "actor": actor,
        "reason": reason,
        "verdict": json.dumps(verdict) if verdict is not None else None,
    }
    with engine.begin() as connection:
        # Not INSERT IGNORE, which would also swallow a value that does not fit.
        connection.execute(
            sa.text(
                "INSERT INTO promotion (at, use_case, action, from_version, to_version, training_run_id,"
                " actor, reason, verdict) VALUES (:at, :use_case, :action, :from_version, :to_version,"
                " :training_run_id, :actor, :reason, :verdict) ON DUPLICATE KEY UPDATE id = id"
            ),
            values,
        )
        row = connection.execute(
            sa.text(
                f"SELECT {_COLUMNS} FROM promotion WHERE use_case = :use_case AND action = :action"  # noqa: S608
                " AND training_run_id <=> :training_run_id AND to_version <=> :to_version"
                " ORDER BY id DESC LIMIT 1"
            ),
            values,
        ).one()
    return _entry(row)


def entries(engine: sa.Engine, use_case: str, limit: int = 100) -> list[Entry]:
    """The newest lines of a use case, newest first."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text(
                f"SELECT {_COLUMNS} FROM promotion WHERE use_case = :use_case"  # noqa: S608
                " ORDER BY id DESC LIMIT :limit"
            ),
            {"use_case": use_case, "limit": limit},
        )
        return [_entry(row) for row in rows]


def find(
    engine: sa.Engine,
    use_case: str,
    action: Action,
    *,
    training_run_id: str | None = None,
    to_version: int | None = None,
) -> Entry | None:
    """The newest line of that action, of that training run or to that version where one is given."""
    with engine.connect() as connection:
        row = connection.execute(
            sa.text(
                f"SELECT {_COLUMNS} FROM promotion WHERE use_case = :use_case AND action = :action"  # noqa: S608
                " AND (:training_run_id IS NULL OR training_run_id = :training_run_id)"
                " AND (:to_version IS NULL OR to_version = :to_version) ORDER BY id DESC LIMIT 1"
            ),
            {
                "use_case": use_case,
                "action": action,
                "training_run_id": training_run_id,
                "to_version": to_version,
            },
        ).one_or_none()
    return _entry(row) if row else None


def promoted_at(engine: sa.Engine, use_case: str, version: int) -> datetime | None:
    """When that version last became champion, by promotion or rollback (aware UTC); None if never."""
    with engine.connect() as connection:
        at = connection.execute(
            sa.text(
                "SELECT MAX(at) FROM promotion WHERE use_case = :use_case AND to_version = :version"
                " AND action IN ('promote', 'rollback')"
            ),
            {"use_case": use_case, "version": version},
        ).scalar()
    return aware(at) if at else None


def _entry(row: sa.Row[Any]) -> Entry:
    fields = dict(row._mapping)
    fields["at"] = aware(fields["at"])
    verdict = fields["verdict"]
    fields["verdict"] = json.loads(verdict) if isinstance(verdict, str | bytes) else verdict
    return Entry(**fields)
