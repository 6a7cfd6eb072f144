"""A table of millions of rows in ranges of some thousand, each changed in a transaction of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa


def iterate_key_ranges(
    connection: sa.Connection, key: sa.ColumnClause[object], rows: int
) -> Iterator[Sequence[sa.ColumnElement[bool]]]:
    """The conditions on `key`, the first column of its table's primary key, that together choose every row
    once, about `rows` at a time and in the key's order.

    What the caller executes for a range is committed before the next one. Rows that are inserted meanwhile
    may be left out.
    """
    last: object = None
    while True:
        # Without it, a range's gaps would be locked too and hold up inserts. It is for one transaction.
        connection.rollback()
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        after: list[sa.ColumnElement[bool]] = [] if last is None else [key > last]
        bound = connection.scalar(sa.select(key).where(*after).order_by(key).limit(1).offset(rows - 1))
        up_to = [] if bound is None else [key <= bound]
        yield [*after, *up_to]
        connection.commit()
        if bound is None:
            return
        last = bound
