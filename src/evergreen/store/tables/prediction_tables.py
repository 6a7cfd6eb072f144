"""Brings the tables that a service writes up to date with its declaration and this version."""

from __future__ import annotations

import sqlalchemy as sa

from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.migrate_generated import migrate_generated_tables
from evergreen.store.tables.compare import compare_tables
from evergreen.store.tables.create import add_tables_and_columns
from evergreen.usecase import UseCase


def update_prediction_tables(engine: sa.Engine, use_case: UseCase) -> list[str]:
    """Apply pending migrations to the tables of a use case, and give the prediction log the nullable columns
    that it lacks, such as those of new on-demand features; what was done now, in words.

    Nothing is done to a log that does not exist, and nothing that needs leave: other differences are for
    `evergreen apply`. Columns are added in the table's description alone. Safe to run again and at the same
    time. Raises what `migrate_generated_tables` raises.
    """
    done = migrate_generated_tables(engine, use_case)
    with engine.connect() as connection:
        if not _find_missing_columns(connection, use_case):
            return done
        with hold_lock(connection, f"tables.{use_case.name}"):
            missing = _find_missing_columns(connection, use_case)
            add_tables_and_columns(connection, use_case, missing)
    return [*done, *(f"{table}: column {name}" for table, names in missing.items() for name in names)]


def _find_missing_columns(connection: sa.Connection, use_case: UseCase) -> dict[str, list[str]]:
    names = [
        change.column
        for change in compare_tables(connection, use_case)
        if change.table == use_case.prediction_table and change.kind == "add" and change.additive
    ]
    return {use_case.prediction_table: names} if names else {}
