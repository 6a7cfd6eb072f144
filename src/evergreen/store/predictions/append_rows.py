"""Appends rows that carry ids of their own, so that the same rows may be given again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import SchemaMismatch, StoreError
from evergreen.store.connection.database import (
    DUPLICATE_KEY,
    NO_SUCH_TABLE,
    get_error_code,
    get_fast_engine,
)
from evergreen.store.connection.values import StoredRow

_INSERT_ROWS = 500
_LOOKUP_ROWS = 5_000
# Others may insert the same rows between the look-up and the insertion, which then begins again.
_ATTEMPTS = 5


def append_rows(
    engine: sa.Engine,
    table: sa.Table,
    rows: Mapping[str, StoredRow],
    count: Callable[[sa.Connection, Sequence[StoredRow]], None] | None = None,
) -> int:
    """Insert rows by their ids, all of them or none; how many were new. Rows that are there are not changed.

    `count` is called with the new rows in the transaction that inserts them.

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
            for _ in range(_ATTEMPTS - 1):
                try:
                    return _insert_new_rows(connection, table, rows, count)
                except sa.exc.IntegrityError as error:
                    connection.rollback()
                    if get_error_code(error) != DUPLICATE_KEY:
                        raise
            return _insert_new_rows(connection, table, rows, count)
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


def find_existing_ids(engine: sa.Engine, table: sa.Table, rows: Mapping[str, StoredRow]) -> set[object]:
    """The ids of those rows that the table has. Raises what the database raises."""
    with get_fast_engine(engine).connect() as connection:
        return _find_existing_ids(connection, table, rows)


def _insert_new_rows(
    connection: sa.Connection,
    table: sa.Table,
    rows: Mapping[str, StoredRow],
    count: Callable[[sa.Connection, Sequence[StoredRow]], None] | None,
) -> int:
    existing_ids = _find_existing_ids(connection, table, rows)
    # A transaction that has read the table and then writes to it would be a deadlock beside an ALTER.
    connection.rollback()
    new = [row for row_id, row in rows.items() if row_id not in existing_ids]
    # Not INSERT IGNORE, which would cut a value that does not fit without an error.
    for start in range(0, len(new), _INSERT_ROWS):
        connection.execute(sa.insert(table), new[start : start + _INSERT_ROWS])
    if count is not None and new:
        count(connection, new)
    connection.commit()
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
