"""Everything that a database holds, to show that something left it as it was."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from evergreen.store.tables.sql_files import get_ledger_schema


def read_everything(database: sa.Engine) -> dict[str, Any]:
    """The rows of every table of a test's database, and of its ledger, by the table's name."""
    assert database.url.database is not None
    ledger = get_ledger_schema(database.url.database)
    tables = {name: f"`{name}`" for name in sa.inspect(database).get_table_names()}
    tables["ledger"] = f"`{ledger}`.promotion"
    with database.connect() as connection:
        return {
            name: sorted(map(repr, connection.execute(sa.text(f"SELECT * FROM {table}"))))
            for name, table in tables.items()
        }
