"""Erase a use case from the store: for a demo that may be taken again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.database import NO_SUCH_TABLE, get_error_code, hold_lock
from evergreen.store.connection.times import to_aware_utc
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

# Platform tables with a row per use case; ingest_batch and quarantine hang on ingest_run. The ledger is not
# among them: nothing is ever deleted there.
_RECORDS = (
    "ingest_run",
    "training_run",
    "reference_profile",
    "drift_report",
    "retrain_decision",
)


def is_empty(engine: sa.Engine, use_case: UseCase) -> bool:
    """Whether the store holds neither rows nor runs, reports or predictions of a use case."""
    statements = [
        sa.select(sa.literal(1)).select_from(table).limit(1) for table in declared.build_tables(use_case)
    ]
    statements += [
        sa.select(sa.literal(1)).select_from(sa.table(name)).where(sa.column("use_case") == use_case.name)
        for name in _RECORDS
    ]
    with engine.connect() as connection:
        return not any(_has_rows(connection, statement) for statement in statements)


def list_run_moments(engine: sa.Engine, use_case: UseCase) -> set[datetime]:
    """The moments (aware UTC) as of which the use case's rows were ingested and its models trained."""
    found: set[datetime] = set()
    with engine.connect() as connection:
        for name in ("ingest_run", "training_run"):
            runs = sa.table(name, sa.column("use_case"), sa.column("as_of", sa.DateTime))
            moments = connection.scalars(sa.select(runs.c.as_of).where(runs.c.use_case == use_case.name))
            found |= {to_aware_utc(moment) for moment in moments}
    return found


def erase_use_case(engine: sa.Engine, use_case: UseCase) -> None:
    """Drop the use case's tables and delete its rows from the platform's own. It cannot be undone.

    Killed half-way it leaves less than before; run again it finishes.
    """
    lock = f"ingest.{use_case.name}"
    with engine.connect() as connection, hold_lock(connection, lock):
        for table in declared.build_tables(use_case):
            table.drop(connection, checkfirst=True)
        runs = sa.table("ingest_run", sa.column("id"), sa.column("use_case"))
        mine = sa.select(runs.c.id).where(runs.c.use_case == use_case.name)
        for name in ("ingest_batch", "quarantine"):
            rows = sa.table(name, sa.column("ingest_run_id"))
            connection.execute(sa.delete(rows).where(rows.c.ingest_run_id.in_(mine)))
        names = [table.name for table in declared.build_tables(use_case)]
        retired = sa.table("retired_column", sa.column("table_name"))
        connection.execute(sa.delete(retired).where(retired.c.table_name.in_(names)))
        # Counted on, not begun anew: copies of the dropped table must not pass for the next one's.
        state = sa.table("store_state", *map(sa.column, ("table_name", "changes", "history_from")))
        begun = sa.update(state).where(state.c.table_name.in_(names))
        connection.execute(begun.values(changes=state.c.changes + 1, history_from=None))
        for name in _RECORDS:
            record = sa.table(name, sa.column("use_case"))
            connection.execute(sa.delete(record).where(record.c.use_case == use_case.name))
        connection.commit()


def _has_rows(connection: sa.Connection, statement: sa.Select[Any]) -> bool:
    try:
        return connection.execute(statement).first() is not None
    except sa.exc.ProgrammingError as error:
        if get_error_code(error) != NO_SUCH_TABLE:
            raise
        return False
