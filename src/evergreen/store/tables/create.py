"""Makes the tables of a use case, and adds the columns that they may simply be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable

from evergreen.store.connection.locks import hold_lock
from evergreen.store.tables.compare import check_tables, compare_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.migrate_generated import (
    apply_pending_migrations,
    find_pending_migrations,
    record_new_table,
)
from evergreen.store.tables.migrations import apply_migrations
from evergreen.usecase import UseCase


def create_tables(engine: sa.Engine, use_case: UseCase) -> list[str]:
    """Create the tables that are missing, and give those that lack features their columns; their names.

    Rows that a table already holds have NULL as the new features. Tables of an earlier version of Evergreen
    get its migrations first. Safe to run again and at the same time. Raises SchemaMismatch when a table has
    other columns than declared; then nothing is changed.
    """
    apply_migrations(engine)
    with engine.connect() as connection:
        if not compare_tables(connection, use_case) and not find_pending_migrations(connection, use_case):
            return []
        with hold_lock(connection, f"tables.{use_case.name}"):
            # Before anything is changed: it refuses what a declaration's change needs leave for.
            missing = check_tables(connection, use_case)
            apply_pending_migrations(connection, use_case)
            add_tables_and_columns(connection, use_case, missing)
    return list(missing)


def add_tables_and_columns(
    connection: sa.Connection, use_case: UseCase, missing: Mapping[str, Sequence[str]]
) -> None:
    """Make the tables (those without columns to add) and columns that `check_tables` found lacking."""
    for table in build_tables(use_case):
        if table.name in missing:
            columns = missing[table.name]
            statement = (
                _build_add_statement(table, columns) if columns else _build_create_statement(use_case, table)
            )
            connection.exec_driver_sql(statement.replace("%", "%%"))
            if not columns:
                for index in table.indexes:
                    create_index = CreateIndex(index, if_not_exists=True)
                    connection.exec_driver_sql(str(create_index.compile(dialect=mysql.dialect())))
                # Killed before this line, the table is migrated, which finds that there is nothing to do.
                record_new_table(connection, use_case, table.name)


def _build_create_statement(use_case: UseCase, table: sa.Table) -> str:
    statement = CreateTable(table, if_not_exists=True).compile(dialect=mysql.dialect())
    return f"{statement}{_build_table_suffix(use_case, table)}"


def _build_add_statement(table: sa.Table, columns: Sequence[str]) -> str:
    dialect = mysql.dialect()
    definitions = ", ".join(
        f"ADD COLUMN IF NOT EXISTS `{name}` {table.c[name].type.compile(dialect=dialect)}" for name in columns
    )
    # Versioned tables refuse a change unless told that the rows of the past may get the column too.
    return (
        f"SET STATEMENT system_versioning_alter_history = KEEP FOR ALTER TABLE `{table.name}` {definitions}"
    )


def _build_table_suffix(use_case: UseCase, table: sa.Table) -> str:
    if table.name == use_case.prediction_table:
        # The catch-all takes what no day takes, so that no insert ever fails for want of a partition.
        return " PARTITION BY RANGE COLUMNS(predicted_at) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
    if table.name.endswith("__online"):
        return ""
    return " WITH SYSTEM VERSIONING"
