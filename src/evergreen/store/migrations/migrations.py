"""The platform's own tables: numbered SQL files, applied once each, in order, safe to run again."""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import execute_if_table_exists
from evergreen.store.migrations.alter import alter_table
from evergreen.store.tables.platform import CATALOGUE_TABLES, SCHEMA_MIGRATION
from evergreen.store.tables.sql_files import (
    build_ledger_grants,
    build_ledger_statements,
    fill_ledger_name,
    find_migrations_folder,
    get_ledger_schema,
    split_statements,
)

_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")
# A change of one of the platform's own tables.
_ALTER_TABLE = re.compile(r"ALTER TABLE (?P<table>[a-z_]+)\s+(?P<change>.+)", re.DOTALL)


def apply_migrations(engine: sa.Engine, source: Path | None = None) -> list[str]:
    """Apply the migrations that this database has not had; the names of those applied now.

    MariaDB commits DDL implicitly, so a migration that was killed half-way is run again from its start, which
    its statements must allow (IF NOT EXISTS). Callers at the same time wait for each other. A change of a
    table that others use lets them pass (`alter_table`). Raises StoreError when the ledger's database is
    missing and this user may not create it, with the SQL for an administrator, and when a table stays in use.
    """
    database = str(engine.url.database)
    with engine.connect() as connection:
        if not find_pending_files(connection, source):
            return []
        with hold_lock(connection, "migrate"):
            applied = find_pending_files(connection, source)
            _ensure_ledger(connection, database)
            for path in applied:
                for statement in split_statements(fill_ledger_name(path.read_text("utf-8"), database)):
                    _execute_statement(connection, statement)
                insert = sa.insert(SCHEMA_MIGRATION).prefix_with("IGNORE")
                connection.execute(insert.values(name=path.stem))
                connection.commit()
    return [path.stem for path in applied]


def find_pending_files(connection: sa.Connection, source: Path | None = None) -> list[Path]:
    """The migrations in `source` (default: the package's) that the database has not had, in their order.
    Ends the transaction."""
    source = source or find_migrations_folder()
    applied_names = _read_applied_names(connection)
    files = sorted(path for path in source.glob("*.sql") if _NAME.fullmatch(path.name))
    return [path for path in files if path.stem not in applied_names]


def _execute_statement(connection: sa.Connection, statement: str) -> None:
    if change := _ALTER_TABLE.fullmatch(statement):
        alter_table(connection, change["table"], change["change"])
    else:
        connection.exec_driver_sql(_escape_percent(statement))


def _ensure_ledger(connection: sa.Connection, database: str) -> None:
    """Create the ledger's table where an administrator has not done so, if this user may."""
    catalogue = CATALOGUE_TABLES.c
    ledger = sa.select(catalogue.table_name).where(
        catalogue.table_schema == get_ledger_schema(database), catalogue.table_name == "promotion"
    )
    if connection.execute(ledger).first() is not None:
        return
    try:
        for statement in build_ledger_statements(database):
            connection.exec_driver_sql(_escape_percent(statement))
    except (StoreError, sa.exc.DBAPIError) as error:
        account = str(connection.execute(sa.text("SELECT CURRENT_USER()")).scalar())
        user, _, host = account.rpartition("@")
        needed = ";\n".join(
            [*build_ledger_statements(database), *build_ledger_grants(database, user, [host])]
        )
        raise StoreError(
            f"the ledger's database {get_ledger_schema(database)} is not there, and {account} may not create"
            f" it: {error.__cause__ or error}",
            hint=f"let an administrator of that MariaDB run this once:\n{needed};",
        ) from error


def _escape_percent(statement: str) -> str:
    # The driver formats with %, so a literal one must be doubled.
    return statement.replace("%", "%%")


def _read_applied_names(connection: sa.Connection) -> set[str]:
    rows = execute_if_table_exists(connection, sa.select(SCHEMA_MIGRATION.c.name))
    connection.rollback()
    return {row.name for row in rows}
