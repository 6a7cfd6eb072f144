"""Clean rows into the feature store: history, online vectors and labels in one transaction, or nothing.

History is bitemporal: a row is inserted when it differs from what the store knew of that key and event time
as of the run's moment, under that moment as `ingested_at`. So a late row or a correction is a new row,
earlier moments still read what they knew, and the same run twice writes the same rows.

Moments may be loaded in any order. One limit: a row that is no news is not written, so a value that changes
and later changes back is told apart only when its moments are loaded in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pandas as pd
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store import staging, tables
from evergreen.store.bulk import drop_temporary, fill_temporary
from evergreen.store.database import exclusive
from evergreen.store.frames import digest_of
from evergreen.store.runs import get_ingest, update_ingest
from evergreen.store.times import naive
from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

LABEL = "label"
_INCOMING = "evergreen_incoming"


def load(
    engine: sa.Engine, use_case: UseCase, run_id: str, frames: Mapping[str, pd.DataFrame]
) -> dict[str, int]:
    """Write the frames (by view name, and "label") of one ingest run; how many rows each part owes to it.

    A rerun counts the same as the first run. Of rows with the same keys and event time in one frame the last
    counts. In the same transaction the run becomes 'loaded' and its staged rows go. Loads of one use case
    wait for each other. Raises StoreError for a frame without its columns or of an unknown part,
    StoreUnreachable.
    """
    run = get_ingest(engine, run_id)
    unknown = sorted(set(frames) - {LABEL, *(view.name for view in use_case.views)})
    if unknown:
        raise StoreError(
            f"{use_case.name} has no part {', '.join(unknown)} to load",
            hint=f"load its views ({', '.join(v.name for v in use_case.views)}) and {LABEL}",
        )
    counts: dict[str, int] = {}
    with engine.connect() as connection, exclusive(connection, f"ingest.{use_case.name}"):
        # The lock's own statement began a transaction; the rows must be read after it was got.
        connection.rollback()
        with connection.begin():
            for view in use_case.views:
                if view.name in frames:
                    counts[view.name] = _load_view(connection, use_case, view, frames[view.name], run.as_of)
            if LABEL in frames:
                table = tables.label(use_case)
                counts[LABEL] = _load_history(connection, use_case, table, frames[LABEL], run.as_of)
                drop_temporary(connection, _INCOMING)
            update_ingest(
                connection,
                run_id,
                status="loaded",
                rows_loaded=sum(counts.values()),
                digest=digest_of(frames),
            )
            staging.drop(connection, run_id)
    return counts


def _load_view(
    connection: sa.Connection, use_case: UseCase, view: FeatureView, frame: pd.DataFrame, as_of: datetime
) -> int:
    history = tables.history(use_case, view)
    rows = _load_history(connection, use_case, history, frame, as_of)
    if rows:
        _refresh_online(connection, use_case, view)
    drop_temporary(connection, _INCOMING)
    return rows


def _load_history(
    connection: sa.Connection, use_case: UseCase, table: sa.Table, frame: pd.DataFrame, as_of: datetime
) -> int:
    """Insert what is news as of `as_of`; how many of the rows stand there under that moment.

    The frame stays in the temporary table."""
    incoming = _incoming(use_case, table, frame)
    fill_temporary(connection, _INCOMING, table, incoming)
    if incoming.empty:
        return 0
    identity = [*use_case.entity.key_names, EVENT_TIME]
    values = [name for name in incoming.columns if name not in identity]
    new = sa.table(_INCOMING, *(sa.column(name) for name in incoming.columns)).alias("n")
    known, version = table.alias("k"), table.alias("v")
    last_known = (
        sa.select(version.c[tables.INGESTED_AT])
        .where(*(version.c[name] == new.c[name] for name in identity))
        .where(version.c[tables.INGESTED_AT] <= naive(as_of))
        .order_by(version.c[tables.INGESTED_AT].desc())
        .limit(1)
        .scalar_subquery()
    )
    same_row = sa.and_(
        *(known.c[name] == new.c[name] for name in identity), known.c[tables.INGESTED_AT] == last_known
    )
    unchanged = sa.and_(*(known.c[name].op("<=>", is_comparison=True)(new.c[name]) for name in values))
    news = (
        sa.select(
            *(new.c[name] for name in identity),
            sa.literal(naive(as_of), tables.moment_type()),
            *(new.c[name] for name in values),
        )
        .select_from(new.outerjoin(known, same_row))
        .where(sa.or_(known.c[identity[0]].is_(None), sa.not_(unchanged)))
    )
    statement = sa.dialects.mysql.insert(table).from_select([*identity, tables.INGESTED_AT, *values], news)
    # The same moment again with other values, such as a mended file: the last load stands.
    statement = statement.on_duplicate_key_update({name: statement.inserted[name] for name in values})
    connection.execute(statement)
    same_moment = sa.and_(
        *(known.c[name] == new.c[name] for name in identity), known.c[tables.INGESTED_AT] == naive(as_of)
    )
    owed = sa.select(sa.func.count()).select_from(new.join(known, same_moment))
    return int(connection.execute(owed).scalar_one())


def _refresh_online(connection: sa.Connection, use_case: UseCase, view: FeatureView) -> None:
    """Give each key of the incoming rows the newest row of its history: greatest event time, last version.

    Taken from history, not from the incoming rows, so that no order of loads can leave an older vector.
    """
    history, online = tables.history(use_case, view), tables.online(use_case, view)
    names = use_case.entity.key_names
    new = sa.table(_INCOMING, *(sa.column(name) for name in names))
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
        sa.select(any_version.c[tables.INGESTED_AT])
        .where(*(any_version.c[name] == row.c[name] for name in (*names, EVENT_TIME)))
        .order_by(any_version.c[tables.INGESTED_AT].desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = [column.name for column in online.columns]
    chosen = (
        sa.select(*(row.c[name] for name in columns))
        .select_from(keys.join(row, sa.and_(*(row.c[name] == keys.c[name] for name in names))))
        .where(row.c[EVENT_TIME] == newest, row.c[tables.INGESTED_AT] == last)
    )
    statement = sa.dialects.mysql.insert(online).from_select(columns, chosen)
    changed = {name: statement.inserted[name] for name in columns if name not in names}
    connection.execute(statement.on_duplicate_key_update(changed))


def _incoming(use_case: UseCase, table: sa.Table, frame: pd.DataFrame) -> pd.DataFrame:
    columns = [column.name for column in table.columns if column.name != tables.INGESTED_AT]
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise StoreError(
            f"the rows for {table.name} have no column {', '.join(missing)}",
            hint="validate them first: it renames and completes the source's columns",
        )
    identity = [*use_case.entity.key_names, EVENT_TIME]
    rows = frame[columns].drop_duplicates(identity, keep="last")
    whole = [c.name for c in table.columns if c.name in rows and isinstance(c.type, sa.BigInteger)]
    # BIGINT columns are float64 in a frame, because NaN means missing; they are whole by validation.
    return rows.assign(**{name: rows[name].astype("Int64") for name in whole})
