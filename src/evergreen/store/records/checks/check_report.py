"""Reports of monitoring checks as MariaDB keeps them: a document each, and the MLflow run that holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.documents import JsonObject
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.platform import CHECK_REPORT


@dataclass(frozen=True)
class AttachedRun:
    """An MLflow run by its id, and the id of its experiment."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True)
class SavedReport:
    """The report of one check. `as_of` is aware UTC; `attached` is None while no MLflow run holds it,
    `document` once it was dropped because the check is old."""

    check_id: str
    use_case: str
    as_of: datetime
    severity: str
    document: JsonObject | None
    attached: AttachedRun | None


def save_check_report(
    engine: sa.Engine,
    *,
    check_id: str,
    use_case_name: str,
    as_of: datetime,
    severity: str,
    document: JsonObject,
    created_at: datetime,
) -> SavedReport:
    """Write the report of a check, in place of a former one; the MLflow run of that one stays known."""
    insert = sa.dialects.mysql.insert(CHECK_REPORT).values(
        check_id=check_id,
        use_case=use_case_name,
        as_of=to_naive_utc(as_of),
        severity=severity,
        document=json.dumps(document),
        created_at=to_naive_utc(created_at),
    )
    new_values = {name: insert.inserted[name] for name in ("severity", "document", "created_at")}
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(**new_values))
    report = find_check_report(engine, check_id)
    assert report is not None
    return report


def find_check_report(engine: sa.Engine, check_id: str) -> SavedReport | None:
    """The report of that check; None where there is none."""
    reports = _read_reports(engine, sa.select(CHECK_REPORT).where(CHECK_REPORT.c.check_id == check_id))
    return reports[0] if reports else None


def find_latest_check_report(
    engine: sa.Engine, use_case_name: str, until: datetime | None = None
) -> SavedReport | None:
    """The report of the greatest moment, or of the greatest up to `until` (aware UTC)."""
    c = CHECK_REPORT.c
    statement = sa.select(CHECK_REPORT).where(c.use_case == use_case_name)
    if until is not None:
        statement = statement.where(c.as_of <= to_naive_utc(until))
    reports = _read_reports(engine, statement.order_by(c.as_of.desc()).limit(1))
    return reports[0] if reports else None


def list_unattached_reports(engine: sa.Engine, use_case_name: str, limit: int) -> list[SavedReport]:
    """The newest reports with a document that no MLflow run holds, the newest first."""
    c = CHECK_REPORT.c
    statement = sa.select(CHECK_REPORT).where(
        c.use_case == use_case_name, c.mlflow_run_id.is_(None), c.document.is_not(None)
    )
    return _read_reports(engine, statement.order_by(c.as_of.desc()).limit(limit))


def record_attached_run(engine: sa.Engine, check_id: str, run: AttachedRun) -> None:
    """Write down which MLflow run holds the report of a check."""
    with engine.begin() as connection:
        connection.execute(
            sa.update(CHECK_REPORT)
            .where(CHECK_REPORT.c.check_id == check_id)
            .values(mlflow_experiment_id=run.experiment_id, mlflow_run_id=run.run_id)
        )


def _read_reports(engine: sa.Engine, statement: sa.Select[*tuple[Any, ...]]) -> list[SavedReport]:
    with engine.connect() as connection:
        rows = execute_if_table_exists(connection, statement)
    return [
        SavedReport(
            check_id=row.check_id,
            use_case=row.use_case,
            as_of=to_aware_utc(row.as_of),
            severity=row.severity,
            document=None if row.document is None else json.loads(row.document),
            attached=AttachedRun(row.mlflow_experiment_id, row.mlflow_run_id) if row.mlflow_run_id else None,
        )
        for row in rows
    ]
