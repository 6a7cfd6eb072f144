"""Makes the tables of a use case, and adds the columns that they may simply be given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.store.connection.locks import hold_lock
from evergreen.store.migrations.alter import alter_table
from evergreen.store.migrations.migrate_generated import (
    apply_pending_migrations,
    find_pending_migrations,
    record_new_table,
)
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.tables.compare import check_tables, compare_tables
from evergreen.store.tables.declared import build_tables
from evergreen.store.tables.make_table import make_table
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
    """Make the tables (those without columns to add) and columns that `check_tables` found lacking.

    Raises StoreError when a session keeps a table that lacks columns for five minutes.
    """
    for table in build_tables(use_case):
        if table.name in missing:
            columns = missing[table.name]
            if columns:
                alter_table(connection, table.name, _build_additions(table, columns))
            else:
                make_table(connection, use_case, table)
                # Killed before this line, the table is migrated, which finds that there is nothing to do.
                record_new_table(connection, use_case, table.name)


def _build_additions(table: sa.Table, columns: Sequence[str]) -> str:
    dialect = mysql.dialect()
    return ", ".join(
        f"ADD COLUMN IF NOT EXISTS `{name}` {table.c[name].type.compile(dialect=dialect)}" for name in columns
    )
