"""Applies `generated_migrations` to the tables of a use case, while others read and write them.

No step copies a table or blocks its writers. Each changes the table's description alone, builds an index
beside the writers, or updates some thousand rows by primary key and commits. `generated_table_migration` says
which migrations a table has had. A run that was killed is begun again: every step finds what it has done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateColumn

from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.migrations.alter import alter_table
from evergreen.store.migrations.generated_migrations import (
    MIGRATIONS,
    AddColumn,
    GeneratedMigration,
    MoveOutcomes,
    ReplaceColumn,
    list_table_kinds,
)
from evergreen.store.migrations.key_ranges import iterate_key_ranges
from evergreen.store.migrations.migrations import apply_migrations
from evergreen.store.migrations.move_outcomes import move_outcomes
from evergreen.store.tables.declared import COMING_PREFIX, build_outcome_table
from evergreen.store.tables.make_table import make_table
from evergreen.store.tables.platform import CATALOGUE_COLUMNS, GENERATED_TABLE_MIGRATION
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

_CHUNK_ROWS = 5_000

# By table: the migrations that it has not had.
Pending = dict[str, list[GeneratedMigration]]


def migrate_generated_tables(
    engine: sa.Engine, use_case: UseCase, migrations: Sequence[GeneratedMigration] = MIGRATIONS
) -> list[str]:
    """Bring the platform's columns of a use case's existing tables up to date; "TABLE: MIGRATION" for each
    migration that was applied now.

    Safe to run again and at the same time. A million rows take about a minute, in which rows are written
    and read as before. Raises StoreError when a session keeps a table for five minutes, StoreUnreachable.
    """
    apply_migrations(engine)
    with engine.connect() as connection:
        if not find_pending_migrations(connection, use_case, migrations):
            return []
        with hold_lock(connection, f"tables.{use_case.name}"):
            return apply_pending_migrations(connection, use_case, migrations)


def find_pending_migrations(
    connection: sa.Connection, use_case: UseCase, migrations: Sequence[GeneratedMigration] = MIGRATIONS
) -> Pending:
    """The migrations that the existing tables of a use case have not had. Ends the transaction."""
    kinds = list_table_kinds(use_case)
    catalogue, record = CATALOGUE_COLUMNS.c, GENERATED_TABLE_MIGRATION.c
    tables = connection.scalars(
        sa.select(catalogue.table_name)
        .where(catalogue.table_schema == sa.func.database(), catalogue.table_name.in_(list(kinds)))
        .distinct()
    ).all()
    applied = execute_if_table_exists(
        connection, sa.select(record.table_name, record.number).where(record.table_name.in_(list(kinds)))
    )
    numbers = {(row.table_name, row.number) for row in applied}
    connection.rollback()
    pending = {
        table: [m for m in migrations if m.kind == kinds[table] and (table, m.number) not in numbers]
        for table in kinds
        if table in tables
    }
    return {table: todo for table, todo in pending.items() if todo}


def apply_pending_migrations(
    connection: sa.Connection, use_case: UseCase, migrations: Sequence[GeneratedMigration] = MIGRATIONS
) -> list[str]:
    """Apply what `find_pending_migrations` finds; the caller holds the lock of the use case's tables."""
    applied = []
    for table, pending in find_pending_migrations(connection, use_case, migrations).items():
        for migration in pending:
            for step in migration.steps:
                match step:
                    case AddColumn():
                        _add_column(connection, table, step)
                    case ReplaceColumn():
                        _replace_column(connection, table, step)
                    case MoveOutcomes():
                        make_table(connection, use_case, build_outcome_table(use_case))
                        record_new_table(connection, use_case, use_case.outcome_table)
                        move_outcomes(connection, use_case)
            record_migrations(connection, table, [migration])
            logger.info("table %s has had migration %d, %s", table, migration.number, migration.name)
            applied.append(f"{table}: {migration.name}")
    return applied


def record_new_table(connection: sa.Connection, use_case: UseCase, table: str) -> None:
    """Note that a table was created in the newest form. Commits."""
    kind = list_table_kinds(use_case)[table]
    record_migrations(connection, table, [m for m in MIGRATIONS if m.kind == kind])


def record_migrations(
    connection: sa.Connection, table: str, migrations: Sequence[GeneratedMigration]
) -> None:
    """Note that a table has had these migrations. Commits."""
    rows = [{"table_name": table, "number": m.number, "name": m.name} for m in migrations]
    if rows:
        connection.execute(sa.insert(GENERATED_TABLE_MIGRATION).prefix_with("IGNORE"), rows)
    connection.commit()


def _add_column(connection: sa.Connection, table: str, step: AddColumn) -> None:
    definition = CreateColumn(step.column).compile(dialect=mysql.dialect())
    alter_table(connection, table, f"ADD COLUMN IF NOT EXISTS {definition}, ALGORITHM=INSTANT")


def _replace_column(connection: sa.Connection, table: str, step: ReplaceColumn) -> None:
    """Fill a new column beside the old one, then let it take the old one's name, in one statement.

    Rows that are inserted meanwhile name the old column only. The new one's default is then the old one's
    value, so that no writer needs to know of it and none can be missed: a statement that changes a default
    waits for the transactions that began before it, whose rows the updates then see.
    """
    old, new = step.column_name, f"{COMING_PREFIX}{step.column_name}"
    spelled = step.column_type.compile(dialect=mysql.dialect())
    types = _read_column_types(connection, table)
    if new not in types and types[old] == spelled.lower().partition(" character set")[0]:
        for index, columns in step.indexes:
            _add_index(connection, table, index, columns)
        return
    placeholder = sa.literal(step.placeholder).compile(
        dialect=mysql.dialect(), compile_kwargs={"literal_binds": True}
    )
    alter_table(
        connection,
        table,
        f"ADD COLUMN IF NOT EXISTS `{new}` {spelled} NOT NULL DEFAULT {placeholder} AFTER `{old}`,"
        " ALGORITHM=INSTANT",
    )
    alter_table(connection, table, f"ALTER COLUMN `{new}` SET DEFAULT (`{old}`), ALGORITHM=INSTANT")
    _fill_column(connection, table, step, new)
    exchanges = []
    for index, columns in step.indexes:
        names = tuple(new if column == old else column for column in columns)
        _add_index(connection, table, f"{COMING_PREFIX}{index}", names)
        # Versions before the first migration declared `by_channel` and did not create it.
        exchanges += [
            f"DROP INDEX IF EXISTS `{index}`",
            f"RENAME INDEX `{COMING_PREFIX}{index}` TO `{index}`",
        ]
    exchanges += [f"DROP COLUMN `{old}`", f"CHANGE COLUMN `{new}` `{old}` {spelled} NOT NULL"]
    # One statement: no reader and no writer finds the column missing. It copies nothing.
    alter_table(connection, table, f"{', '.join(exchanges)}, ALGORITHM=NOCOPY, LOCK=NONE")


def _add_index(connection: sa.Connection, table: str, index: str, columns: Sequence[str]) -> None:
    names = ", ".join(f"`{column}`" for column in columns)
    alter_table(
        connection, table, f"ADD INDEX IF NOT EXISTS `{index}` ({names}), ALGORITHM=INPLACE, LOCK=NONE"
    )


def _fill_column(connection: sa.Connection, table: str, step: ReplaceColumn, new: str) -> None:
    """Copy the old column's values into the new one, some thousand rows by primary key at a time."""
    key_name = _read_first_key(connection, table)
    rows = sa.table(table, sa.column(key_name), sa.column(step.column_name), sa.column(new))
    for in_range in iterate_key_ranges(connection, rows.c[key_name], _CHUNK_ROWS):
        connection.execute(
            sa.update(rows)
            .where(*in_range, rows.c[new] == step.placeholder)
            .values({new: rows.c[step.column_name]})
        )


def _read_column_types(connection: sa.Connection, table: str) -> dict[str, str]:
    """The type of each column as MariaDB spells it, without a character set."""
    c = CATALOGUE_COLUMNS.c
    statement = sa.select(c.column_name, c.column_type).where(
        c.table_schema == sa.func.database(), c.table_name == table
    )
    return {row.column_name: row.column_type for row in connection.execute(statement)}


def _read_first_key(connection: sa.Connection, table: str) -> str:
    return str(sa.inspect(connection).get_pk_constraint(table)["constrained_columns"][0])
