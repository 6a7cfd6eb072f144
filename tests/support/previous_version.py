"""The toy's database as the version before sql/0004 left it: see `database_before_0004.sql`."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from evergreen.store.tables.sql_files import split_statements

_SCRIPT = Path(__file__).with_name("database_before_0004.sql")


def load_previous_database(database: sa.Engine) -> None:
    """Make the tables of that version in an empty database, with their rows."""
    with database.begin() as connection:
        for statement in split_statements(_SCRIPT.read_text("utf-8")):
            connection.exec_driver_sql(statement.replace("%", "%%"))
