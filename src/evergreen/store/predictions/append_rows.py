"""Appends rows that carry ids of their own, so that the same rows may be given again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import StoreError
from evergreen.store.connection.values import StoredRow

_INSERT_ROWS = 500


def append_rows(engine: sa.Engine, table: sa.Table, rows: Mapping[str, StoredRow]) -> int:
    """Insert rows by their ids, all of them or none; how many were new. Rows that are there are not changed.

    The id is the first column of the table's primary key. Where `predicted_at` is the second, it follows from
    the id, and keeps the search for rows that are there within the partitions of these moments. The rows have
    the same columns. Raises SQLAlchemy's DataError for a value that its column cannot hold, IntegrityError
    for a missing one, and StoreError for a text that is none in UTF-8.
    """
    if not rows:
        return 0
    key = next(iter(table.primary_key.columns))
    existing = sa.select(key).where(key.in_(list(rows)))
    if "predicted_at" in table.primary_key.columns:
        moments = [row["predicted_at"] for row in rows.values() if isinstance(row["predicted_at"], datetime)]
        existing = existing.where(table.c.predicted_at.between(min(moments), max(moments)))
    # Not INSERT IGNORE, which would cut a value that does not fit without an error.
    statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    try:
        with engine.begin() as connection:
            existing_ids = set(connection.scalars(existing))
            new = [row for row_id, row in rows.items() if row_id not in existing_ids]
            for start in range(0, len(new), _INSERT_ROWS):
                connection.execute(statement, new[start : start + _INSERT_ROWS])
    except UnicodeEncodeError as error:
        raise StoreError(
            f"a text for table {table.name} has characters that UTF-8 does not know",
            hint="send text without lone surrogates",
        ) from error
    return len(new)
