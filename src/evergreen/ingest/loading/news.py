"""What is news among incoming rows: compared by the server with what it knew, by way of a temporary table."""

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
    """Insert into a history or label table what of the temporary table INCOMING is news as of `as_of`; how
    many rows the server touched. `names` are the keys, `columns` those of INCOMING."""
    identity = [*names, EVENT_TIME]
    values = [name for name in columns if name not in identity]
    new = sa.table(INCOMING_TABLE, *(sa.column(name) for name in columns)).alias("n")
    known, version = table.alias("k"), table.alias("v")
    last_known = (
        sa.select(version.c[declared.INGESTED_AT])
        .where(*(version.c[name] == new.c[name] for name in identity))
        .where(version.c[declared.INGESTED_AT] <= to_naive_utc(as_of))
        .order_by(version.c[declared.INGESTED_AT].desc())
        .limit(1)
        .scalar_subquery()
    )
    same_row = sa.and_(
        *(known.c[name] == new.c[name] for name in identity), known.c[declared.INGESTED_AT] == last_known
    )
    unchanged = sa.and_(*(known.c[name].op("<=>", is_comparison=True)(new.c[name]) for name in values))
    news = (
        sa.select(
            *(new.c[name] for name in identity),
            sa.literal(to_naive_utc(as_of), declared.build_moment_type()),
            *(new.c[name] for name in values),
        )
        .select_from(new.outerjoin(known, same_row))
        .where(sa.or_(known.c[identity[0]].is_(None), sa.not_(unchanged)))
    )
    statement = sa.dialects.mysql.insert(table).from_select([*identity, declared.INGESTED_AT, *values], news)
    # The same moment again with other values, such as a mended file: the last load stands.
    statement = statement.on_duplicate_key_update({name: statement.inserted[name] for name in values})
    return int(connection.execute(statement).rowcount)


def count_stored_rows(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], as_of: datetime
) -> int:
    """How many of the rows in INCOMING stand in the table under that moment."""
    identity = [*names, EVENT_TIME]
    new = sa.table(INCOMING_TABLE, *(sa.column(name) for name in identity)).alias("n")
    known = table.alias("k")
    same_moment = sa.and_(
        *(known.c[name] == new.c[name] for name in identity),
        known.c[declared.INGESTED_AT] == to_naive_utc(as_of),
    )
    owed = sa.select(sa.func.count()).select_from(new.join(known, same_moment))
    return int(connection.execute(owed).scalar_one())


def refresh_online_table(
    connection: sa.Connection,
    history: sa.Table,
    online: sa.Table,
    names: Sequence[str],
    *,
    everything: bool = False,
) -> bool:
    """Give each key in INCOMING, or `everything`, the newest row of its history: greatest event time, last
    version. Whether any online row changed.

    Taken from history, not from the incoming rows, so that no order of loads can leave an older vector.
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
    chosen = (
        sa.select(*(row.c[name] for name in columns))
        .select_from(
            keys.join(row, sa.and_(*(row.c[name] == keys.c[name] for name in names))).outerjoin(present, same)
        )
        .where(row.c[EVENT_TIME] == newest, row.c[declared.INGESTED_AT] == last)
        .where(present.c[names[0]].is_(None))
    )
    statement = sa.dialects.mysql.insert(online).from_select(columns, chosen)
    changed = {name: statement.inserted[name] for name in columns if name not in names}
    result = connection.execute(statement.on_duplicate_key_update(changed))
    return bool(result.rowcount)
