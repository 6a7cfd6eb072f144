"""Statements that load rows which are new or changed: the server compares them with those of the table.

The incoming rows of a chunk stand in a temporary table, INCOMING_TABLE, while these statements run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables import declared
from evergreen.usecase import EVENT_TIME

INCOMING_TABLE = "evergreen_incoming"


def insert_changed_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], columns: Sequence[str], as_of: datetime
) -> int:
    """Insert those incoming rows into a history or label table that are new, or differ from the last version
    known as of `as_of`; return how many rows the server touched.

    `names` are the key columns, `columns` all columns of INCOMING_TABLE.
    """
    identity = [*names, EVENT_TIME]
    values = [name for name in columns if name not in identity]
    new = sa.table(INCOMING_TABLE, *(sa.column(name) for name in columns)).alias("n")
    existing, version = table.alias("k"), table.alias("v")
    last_ingested_at = (
        sa.select(version.c[declared.INGESTED_AT])
        .where(*(version.c[name] == new.c[name] for name in identity))
        .where(version.c[declared.INGESTED_AT] <= to_naive_utc(as_of))
        .order_by(version.c[declared.INGESTED_AT].desc())
        .limit(1)
        .scalar_subquery()
    )
    same_row = sa.and_(
        *(existing.c[name] == new.c[name] for name in identity),
        existing.c[declared.INGESTED_AT] == last_ingested_at,
    )
    unchanged = sa.and_(*(existing.c[name].op("<=>", is_comparison=True)(new.c[name]) for name in values))
    changed_rows = (
        sa.select(
            *(new.c[name] for name in identity),
            sa.literal(to_naive_utc(as_of), declared.build_moment_type()),
            *(new.c[name] for name in values),
        )
        .select_from(new.outerjoin(existing, same_row))
        .where(sa.or_(existing.c[identity[0]].is_(None), sa.not_(unchanged)))
    )
    statement = sa.dialects.mysql.insert(table).from_select(
        [*identity, declared.INGESTED_AT, *values], changed_rows
    )
    # A rerun of the same moment with other values, such as a corrected file, replaces the earlier ones.
    statement = statement.on_duplicate_key_update({name: statement.inserted[name] for name in values})
    return int(connection.execute(statement).rowcount)


def count_stored_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], as_of: datetime
) -> int:
    """How many of the incoming rows the table has with `as_of` as `ingested_at`."""
    identity = [*names, EVENT_TIME]
    new = sa.table(INCOMING_TABLE, *(sa.column(name) for name in identity)).alias("n")
    existing = table.alias("k")
    same_moment = sa.and_(
        *(existing.c[name] == new.c[name] for name in identity),
        existing.c[declared.INGESTED_AT] == to_naive_utc(as_of),
    )
    count = sa.select(sa.func.count()).select_from(new.join(existing, same_moment))
    return int(connection.execute(count).scalar_one())


def refresh_online_table(
    connection: sa.Connection,
    history: sa.Table,
    online: sa.Table,
    names: Sequence[str],
    *,
    everything: bool = False,
) -> bool:
    """Set the online row of each incoming key, or of every key with `everything`, to the newest row of its
    history: greatest event time, last version. Return whether any online row changed.

    The newest row is read from the history, not from the incoming rows, so that the online table does not
    depend on the order of loads.
    """
    new = history.alias("a") if everything else sa.table(INCOMING_TABLE, *(sa.column(name) for name in names))
    keys = sa.select(*(new.c[name] for name in names)).distinct().subquery("changed")
    row, any_row, any_version = history.alias("h"), history.alias("e"), history.alias("i")
    newest = (
        sa.select(any_row.c[EVENT_TIME])
        .where(*(any_row.c[name] == keys.c[name] for name in names))
        .order_by(any_row.c[EVENT_TIME].desc())
        .limit(1)
        .scalar_subquery()
    )
    last = (
        sa.select(any_version.c[declared.INGESTED_AT])
        .where(*(any_version.c[name] == row.c[name] for name in (*names, EVENT_TIME)))
        .order_by(any_version.c[declared.INGESTED_AT].desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = [column.name for column in online.columns]
    present = online.alias("p")
    same = sa.and_(*(present.c[name].op("<=>", is_comparison=True)(row.c[name]) for name in columns))
    newest_rows = (
        sa.select(*(row.c[name] for name in columns))
        .select_from(
            keys.join(row, sa.and_(*(row.c[name] == keys.c[name] for name in names))).outerjoin(present, same)
        )
        .where(row.c[EVENT_TIME] == newest, row.c[declared.INGESTED_AT] == last)
        .where(present.c[names[0]].is_(None))
    )
    statement = sa.dialects.mysql.insert(online).from_select(columns, newest_rows)
    values = {name: statement.inserted[name] for name in columns if name not in names}
    result = connection.execute(statement.on_duplicate_key_update(values))
    return bool(result.rowcount)
