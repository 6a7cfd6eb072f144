"""The ledger: an append-only record of every change of champion and every verdict, with who did it and why.

It stands in a database of its own, `<platform's database>_ledger`. The platform's user may read and insert
lines there; MariaDB refuses to let it change or delete one. MariaDB also numbers each line and sets the time
of writing (`recorded_at`); the writer gives the time of the event (`at`). See sql/admin/ledger.sql.

Here lines are appended and looked up; `champion_history` derives from them who was champion when.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.model.judging.verdict import Verdict
from evergreen.store.connection.database import DUPLICATE_KEY, get_error_code
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.times import to_aware_utc, to_naive_utc
from evergreen.store.tables.sql_files import get_ledger_schema

Action = Literal[
    "promote",
    "reject",
    "rollback",
    "approve",
    "deny",
    "external",
    "erase",
    "refuse",
    "start_trial",
    "end_trial",
]

# The actions after which another version is champion, or none.
CHAMPION_CHANGES: tuple[Action, ...] = ("promote", "rollback", "external", "erase")
# `at` and `recorded_at` come from two machines' clocks; up to this difference they count as the same moment.
CLOCK_TOLERANCE = timedelta(seconds=60)
# Ledgers that an early version made do not have this column until ledger.sql is run again.
RECORDED_AT = "recorded_at"

_COLUMNS = (
    *("id", "at", "use_case", "action", "from_version", "to_version"),
    *("training_run_id", "mlflow_run_id", "actor", "reason", "verdict"),
)
# MariaDB's errors when no line number is left: the trigger's sum overflows, its column does, or
# AUTO_INCREMENT of a ledger that an early version made.
_IDS_EXHAUSTED_CODES = {1690, 1264, 167, 1467}
# Evergreen never comes near this number; a greater one was inserted by somebody else.
_EXCESSIVE_ID = 2**62
_UNIQUE_COLUMNS = ("use_case", "action", "training_run_id", "mlflow_run_id", "to_version")


@dataclass(frozen=True)
class Entry:
    """One line of the ledger, in aware UTC. `to_version` is None where nobody is champion afterwards.

    `at` is when the event happened, as the writer says; `recorded_at` is when MariaDB wrote the line (None in
    lines of early versions, which did not record it). `verdict_text` is the gate's verdict as the JSON text
    that was recorded; None in lines without one.
    """

    id: int
    at: datetime
    recorded_at: datetime | None
    use_case: str
    action: Action
    from_version: int | None
    to_version: int | None
    training_run_id: str | None
    mlflow_run_id: str | None
    actor: str
    reason: str
    verdict_text: str | None

    @property
    def verdict(self) -> Verdict | None:
        """The gate's verdict; None in lines without one."""
        return Verdict.from_json(json.loads(self.verdict_text)) if self.verdict_text else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The reasons of the gate's warnings; empty without a verdict, or where it predates warnings."""
        document = json.loads(self.verdict_text) if self.verdict_text else {}
        return tuple(document.get("warnings", ()))

    @property
    def since(self) -> datetime:
        """From when on the line counts: `at`, but `recorded_at` if the line is misdated."""
        return self.recorded_at if self.misdated and self.recorded_at else self.at

    @property
    def misdated(self) -> bool:
        """Whether `at` is not the time of writing: the line is dated back, or ahead."""
        return self.recorded_at is not None and abs(self.recorded_at - self.at) > CLOCK_TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """The line's columns by name, moments as datetimes, the verdict as it was recorded."""
        return {
            "id": self.id,
            "at": self.at,
            "recorded_at": self.recorded_at,
            "use_case": self.use_case,
            "action": self.action,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "training_run_id": self.training_run_id,
            "mlflow_run_id": self.mlflow_run_id,
            "actor": self.actor,
            "reason": self.reason,
            "verdict": json.loads(self.verdict_text) if self.verdict_text else None,
        }


def append_entry(
    engine: sa.Engine,
    *,
    use_case_name: str,
    action: Action,
    from_version: int | None,
    to_version: int | None,
    training_run_id: str | None,
    actor: str,
    reason: str,
    mlflow_run_id: str | None = None,
    verdict: Verdict | None = None,
    at: datetime | None = None,
) -> Entry:
    """Append a line and return it; return the existing line where the same event is recorded already.

    A training run (with its MLflow run) has one line per (action, to_version). A line without a training run
    is always new. `at` (aware) is when it happened; default: now. Raises StoreError when no line number is
    left, StoreUnreachable.
    """
    values = {
        "at": to_naive_utc(at or datetime.now(UTC)),
        "use_case": use_case_name,
        "action": action,
        "from_version": from_version,
        "to_version": to_version,
        "training_run_id": training_run_id,
        "mlflow_run_id": mlflow_run_id,
        "actor": actor,
        "reason": reason,
        "verdict": json.dumps(verdict.to_json()) if verdict is not None else None,
    }
    table = get_ledger_table(engine)
    same = [table.c[name].is_not_distinct_from(values[name]) for name in _UNIQUE_COLUMNS]
    if training_run_id is not None and (standing := query_newest_entry(engine, *same)):
        return standing
    try:
        _insert_entry(engine, sa.insert(table).values(values))
    except sa.exc.IntegrityError as error:
        # Another process inserted the same line after the query above. ON DUPLICATE KEY would need the right
        # to UPDATE. For a line without a training run the duplicate is its number, which is an error.
        is_same_line = get_error_code(error) == DUPLICATE_KEY and training_run_id is not None
        if not is_same_line or (standing := query_newest_entry(engine, *same)) is None:
            raise
        return standing
    # The trigger sets the id, so LAST_INSERT_ID() does not report it, and INSERT ... RETURNING id needs a
    # right to that column which this user does not have.
    own = [table.c[name] == values[name] for name in ("at", "actor", "reason")]
    line = query_newest_entry(engine, *same, *own)
    assert line is not None
    return line


def read_entries(engine: sa.Engine, use_case_name: str, limit: int = 100) -> list[Entry]:
    """The newest lines of a use case, newest first."""
    table = get_ledger_table(engine)
    return query_entries(
        engine,
        sa.select(table).where(table.c.use_case == use_case_name).order_by(table.c.id.desc()).limit(limit),
    )


def read_entries_since_erase(engine: sa.Engine, use_case_name: str) -> list[Entry]:
    """The lines of a use case after its newest `erase`, oldest first."""
    table = get_ledger_table(engine)
    conditions = (table.c.use_case == use_case_name, build_after_erase_condition(table, use_case_name))
    return query_entries(engine, sa.select(table).where(*conditions).order_by(table.c.id))


def find_entry(
    engine: sa.Engine,
    use_case_name: str,
    action: Action,
    *,
    training_run_id: str | None = None,
    mlflow_run_id: str | None = None,
    to_version: int | None = None,
) -> Entry | None:
    """The newest line of that action, restricted to a training run or a version where one is given.

    Lines before an `erase` are left out: version numbers begin anew after one.
    """
    table = get_ledger_table(engine)
    filters = {
        "training_run_id": training_run_id,
        "mlflow_run_id": mlflow_run_id,
        "to_version": to_version,
    }
    return query_newest_entry(
        engine,
        table.c.use_case == use_case_name,
        table.c.action == action,
        build_after_erase_condition(table, use_case_name),
        *(table.c[name] == value for name, value in filters.items() if value is not None),
    )


def get_ledger_table(engine: sa.Engine) -> sa.TableClause:
    """The ledger's table, with `recorded_at` where it has that column."""
    schema = get_ledger_schema(str(engine.url.database))
    return _build_table(schema, _has_recorded_at(engine, schema))


def build_after_erase_condition(table: sa.TableClause, use_case_name: str) -> sa.ColumnElement[bool]:
    """The lines after the newest `erase` of that use case; all of them if there is none."""
    other = table.alias("erased")
    newest_erase = sa.select(sa.func.coalesce(sa.func.max(other.c.id), 0)).where(
        other.c.use_case == use_case_name, other.c.action == "erase"
    )
    return table.c.id > newest_erase.scalar_subquery()


def query_newest_entry(engine: sa.Engine, *conditions: sa.ColumnElement[bool]) -> Entry | None:
    """The line with the greatest number that meets all conditions; None if there is none."""
    table = get_ledger_table(engine)
    lines = query_entries(engine, sa.select(table).where(*conditions).order_by(table.c.id.desc()).limit(1))
    return lines[0] if lines else None


def query_entries(engine: sa.Engine, query: sa.Select[Any]) -> list[Entry]:
    """The lines that a SELECT of all the ledger's columns returns, in its order."""
    with engine.connect() as connection:
        return [_parse_entry(row) for row in connection.execute(query)]


def _insert_entry(engine: sa.Engine, statement: sa.Insert) -> None:
    # MariaDB numbers a line one above the greatest number: without a lock, concurrent writers would get the
    # same number or end in a deadlock.
    with engine.connect() as connection, hold_lock(connection, "ledger"):
        connection.rollback()
        try:
            connection.execute(statement)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            if get_error_code(error) in _IDS_EXHAUSTED_CODES:
                raise _build_ids_exhausted_error(engine) from error
            raise
        connection.commit()


def _build_ids_exhausted_error(engine: sa.Engine) -> StoreError:
    ledger = f"`{get_ledger_schema(str(engine.url.database))}`.promotion"
    next_one = f"SELECT MAX(id) + 1 AS id FROM {ledger} WHERE id < {_EXCESSIVE_ID}"  # noqa: S608
    renumber = f"UPDATE {ledger} SET id = (SELECT id FROM ({next_one}) AS next_one)"  # noqa: S608
    return StoreError(
        f"the ledger {ledger} has no number left for another line: one has a number near the greatest,"
        " which Evergreen never gives",
        hint="let an administrator look at that line, run sql/admin/ledger.sql again, after which MariaDB"
        " alone gives numbers, and give that line the next one:\n"
        f"{renumber} WHERE id >= {_EXCESSIVE_ID} ORDER BY id LIMIT 1;",
    )


@lru_cache(maxsize=8)
def _build_table(schema: str, has_recorded_at: bool) -> sa.TableClause:
    # Cached, so that there is one object per ledger: SQLAlchemy would join the table with itself for a
    # condition that was built on another object.
    names = (*_COLUMNS, RECORDED_AT) if has_recorded_at else _COLUMNS
    return sa.table("promotion", *(sa.column(name) for name in names), schema=schema)


# Ledgers that have the column. A ledger without it is looked at each time: it may get the column any moment.
_ledgers_with_recorded_at: set[sa.URL] = set()


def _has_recorded_at(engine: sa.Engine, schema: str) -> bool:
    if engine.url not in _ledgers_with_recorded_at:
        columns = sa.table(
            "columns",
            *(sa.column(name) for name in ("table_schema", "table_name", "column_name")),
            schema="information_schema",
        )
        query = sa.select(sa.literal(1)).where(
            columns.c.table_schema == schema,
            columns.c.table_name == "promotion",
            columns.c.column_name == RECORDED_AT,
        )
        with engine.connect() as connection:
            if connection.execute(query).first() is None:
                return False
        _ledgers_with_recorded_at.add(engine.url)
    return True


def _parse_entry(row: sa.Row[Any]) -> Entry:
    recorded_at = row._mapping.get(RECORDED_AT)
    return Entry(
        id=row.id,
        at=to_aware_utc(row.at),
        recorded_at=to_aware_utc(recorded_at) if recorded_at else None,
        use_case=row.use_case,
        action=row.action,
        from_version=row.from_version,
        to_version=row.to_version,
        training_run_id=row.training_run_id,
        mlflow_run_id=row.mlflow_run_id,
        actor=row.actor,
        reason=row.reason,
        verdict_text=row.verdict,
    )
