"""Appends rows that carry ids of their own, so that the same rows may be given again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.store.connection.database import NO_SUCH_TABLE, get_error_code
from evergreen.store.connection.values import StoredRow

_INSERT_ROWS = 500
_LOOKUP_ROWS = 5_000


def append_rows(engine: sa.Engine, table: sa.Table, rows: Mapping[str, StoredRow]) -> int:
    """Insert rows by their ids, all of them or none; how many were new. Rows that are there are not changed.

    The id is the first column of the table's primary key. Where `predicted_at` is the second, it follows from
    the id, and keeps the search for rows that are there within the partitions of these moments. The rows have
    the same columns. Raises SQLAlchemy's DataError for a value that its column cannot hold, IntegrityError
    for a missing one, StoreError for a text that is none in UTF-8, and SchemaMismatch where there is no such
    table.
    """
    ids, count = list(rows), 0
    try:
        with engine.begin() as connection:
            for start in range(0, len(ids), _LOOKUP_ROWS):
                some = {row_id: rows[row_id] for row_id in ids[start : start + _LOOKUP_ROWS]}
                count += _append_some(connection, table, some)
    except sa.exc.ProgrammingError as error:
        if get_error_code(error) != NO_SUCH_TABLE:
            raise
        raise SchemaMismatch(
            f"there is no table {table.name} yet",
            hint="an ingest makes it, and the start of a service where an earlier version made the others",
        ) from error
    except UnicodeEncodeError as error:
        raise StoreError(
            f"a text for table {table.name} has characters that UTF-8 does not know",
            hint="send text without lone surrogates",
        ) from error
    return count


def _append_some(connection: sa.Connection, table: sa.Table, rows: Mapping[str, StoredRow]) -> int:
    key = next(iter(table.primary_key.columns))
    existing = sa.select(key).where(key.in_(list(rows)))
    if "predicted_at" in table.primary_key.columns:
        moments = [row["predicted_at"] for row in rows.values() if isinstance(row["predicted_at"], datetime)]
        existing = existing.where(table.c.predicted_at.between(min(moments), max(moments)))
    existing_ids = set(connection.scalars(existing))
    new = [row for row_id, row in rows.items() if row_id not in existing_ids]
    # Not INSERT IGNORE, which would cut a value that does not fit without an error.
    statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
    for start in range(0, len(new), _INSERT_ROWS):
        connection.execute(statement, new[start : start + _INSERT_ROWS])
    return len(new)
