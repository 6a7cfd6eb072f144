"""Makes one table of a use case in the newest form, as `declared` describes it."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateIndex, CreateTable

from evergreen.usecase import UseCase


def make_table(connection: sa.Connection, use_case: UseCase, table: sa.Table) -> None:
    """Create a declared table and its indexes, where they do not exist yet."""
    create = CreateTable(table, if_not_exists=True).compile(dialect=mysql.dialect())
    statement = f"{create}{_build_table_suffix(use_case, table.name)}"
    connection.exec_driver_sql(statement.replace("%", "%%"))
    for index in table.indexes:
        create_index = CreateIndex(index, if_not_exists=True)
        connection.exec_driver_sql(str(create_index.compile(dialect=mysql.dialect())))


def _build_table_suffix(use_case: UseCase, table: str) -> str:
    if table in (use_case.prediction_table, use_case.outcome_table):
        # The catch-all takes what no day takes, so that no insert ever fails for want of a partition.
        return " PARTITION BY RANGE COLUMNS(predicted_at) (PARTITION pmax VALUES LESS THAN (MAXVALUE))"
    if table.endswith("__online"):
        return ""
    return " WITH SYSTEM VERSIONING"
