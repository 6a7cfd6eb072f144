"""Reading tables that may not exist yet: before the first ingest a use case has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from evergreen.store.connection.database import NO_SUCH_TABLE, get_error_code


def execute_if_table_exists(
    connection: sa.Connection, statement: sa.Select[*tuple[Any, ...]]
) -> Sequence[sa.Row[*tuple[Any, ...]]]:
    """All rows of a SELECT; none while one of its tables does not exist."""
    rows: Sequence[sa.Row[*tuple[Any, ...]]] = ()
    with ignore_missing_table():
        rows = connection.execute(statement).all()
    return rows


@contextmanager
def ignore_missing_table() -> Iterator[None]:
    """End the block quietly where one of its statements names a table that does not exist."""
    try:
        yield
    except sa.exc.ProgrammingError as error:
        if get_error_code(error) != NO_SUCH_TABLE:
            raise
