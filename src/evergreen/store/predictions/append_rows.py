"""Appends rows that carry ids of their own, so that the same rows may be given again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.store.connection.database import NO_SUCH_TABLE, get_error_code, get_fast_engine
from evergreen.store.connection.values import StoredRow

_INSERT_ROWS = 500
_LOOKUP_ROWS = 5_000


def append_rows(engine: sa.Engine, table: sa.Table, rows: Mapping[str, StoredRow]) -> int:
    """Insert rows by their ids, all of them or none; how many were new. Rows that are there are not changed.
    One that somebody else inserts at the same time counts as new for both.

    The id is the first column of the table's primary key. Where `predicted_at` is the second, it follows from
    the id, and keeps the search for rows that are there within the partitions of these moments. The rows have
    the same columns. Raises SQLAlchemy's DataError for a value that its column cannot hold, IntegrityError
    for a missing one, StoreError for a text that is none in UTF-8, and SchemaMismatch where there is no such
    table.
    """
    if not rows:
        return 0
    try:
        with get_fast_engine(engine).connect() as connection:
            existing_ids = _find_existing_ids(connection, table, rows)
            # A transaction that has read the table and then writes to it would be a deadlock beside an ALTER.
            connection.rollback()
            new = [row for row_id, row in rows.items() if row_id not in existing_ids]
            # Not INSERT IGNORE, which would cut a value that does not fit without an error.
            key = next(iter(table.primary_key.columns))
            statement = mysql.insert(table).on_duplicate_key_update({key.name: key})
            for start in range(0, len(new), _INSERT_ROWS):
                connection.execute(statement, new[start : start + _INSERT_ROWS])
            connection.commit()
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
    return len(new)


def _find_existing_ids(
    connection: sa.Connection, table: sa.Table, rows: Mapping[str, StoredRow]
) -> set[object]:
    key = next(iter(table.primary_key.columns))
    ids = list(rows)
    existing: set[object] = set()
    for start in range(0, len(ids), _LOOKUP_ROWS):
        some = ids[start : start + _LOOKUP_ROWS]
        statement = sa.select(key).where(key.in_(some))
        if "predicted_at" in table.primary_key.columns:
            moments = [each for row_id in some if isinstance(each := rows[row_id]["predicted_at"], datetime)]
            statement = statement.where(table.c.predicted_at.between(min(moments), max(moments)))
        existing.update(connection.scalars(statement))
    return existing
