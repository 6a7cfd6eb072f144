"""The newest features per key: of now for requests, of any moment for batch scoring."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evergreen.store import tables
from evergreen.store.frames import read_frame
from evergreen.store.times import naive
from evergreen.usecase import EVENT_TIME, UseCase


def read_online(
    engine: sa.Engine, use_case: UseCase, keys: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The newest stored features by key tuple, as plain values (None for missing); one query per view.

    A key that no view knows is absent; features of a view that does not know it are None.
    """
    if not keys:
        return {}
    names = use_case.entity.key_names
    blank: dict[str, Any] = dict.fromkeys(feature.name for feature in use_case.stored_features)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    with engine.connect() as connection:
        for view in use_case.views:
            table = tables.online(use_case, view)
            columns = [table.c[name] for name in names]
            wanted = (
                columns[0].in_([key[0] for key in keys])
                if len(columns) == 1
                else sa.tuple_(*columns).in_([tuple(key) for key in keys])
            )
            chosen = [*columns, *(table.c[name] for name in view.feature_names)]
            for row in connection.execute(sa.select(*chosen).where(wanted)):
                key, values = tuple(row[: len(names)]), row[len(names) :]
                found.setdefault(key, dict(blank)).update(zip(view.feature_names, values, strict=True))
    return found


def latest_rows(engine: sa.Engine, use_case: UseCase) -> pd.DataFrame:
    """The whole online store: keys, `event_time` (the newest of the views') and stored features, by key."""
    names = list(use_case.entity.key_names)
    frames = []
    with engine.connect() as connection:
        for view in use_case.views:
            table = tables.online(use_case, view)
            statement = sa.select(*(table.c[n] for n in (*names, EVENT_TIME, *view.feature_names)))
            frames.append(read_frame(connection, statement, use_case))
    return _merged(use_case, frames)


def count_keys(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> int:
    """How many keys any view knew as of a moment (aware UTC): the rows that `rows_as_of` divides."""
    keys = _keys_as_of(use_case, as_of).subquery()
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(keys)).scalar_one())


def rows_as_of(
    engine: sa.Engine, use_case: UseCase, as_of: datetime, offset: int = 0, limit: int | None = None
) -> pd.DataFrame:
    """The newest history row per key with event_time and ingested_at <= `as_of` (aware UTC), by key.

    Columns as of `latest_rows`. `offset` and `limit` count keys in their order, so pages of the same `as_of`
    are the same rows whenever they are read, unless that moment or an earlier one is ingested meanwhile.
    """
    names = use_case.entity.key_names
    page = _keys_as_of(use_case, as_of).order_by(*names)
    if limit is not None:
        page = page.limit(limit).offset(offset)
    frames = []
    with engine.connect() as connection:
        for view in use_case.views:
            table, keys = tables.history(use_case, view), page.subquery("page")
            columns = [table.c[name] for name in (*names, EVENT_TIME, *view.feature_names)]
            newest_first = [table.c[name].desc() for name in (EVENT_TIME, tables.INGESTED_AT)]
            rank = sa.func.row_number().over(
                partition_by=[table.c[name] for name in names], order_by=newest_first
            )
            ranked = (
                sa.select(*columns, rank.label("rank"))
                .select_from(keys.join(table, sa.and_(*(table.c[name] == keys.c[name] for name in names))))
                .where(*_known(table, as_of))
                .subquery("ranked")
            )
            statement = sa.select(*(ranked.c[column.name] for column in columns)).where(ranked.c["rank"] == 1)
            frames.append(read_frame(connection, statement, use_case))
    return _merged(use_case, frames)


def _keys_as_of(use_case: UseCase, as_of: datetime) -> sa.CompoundSelect[Any]:
    histories = [tables.history(use_case, view) for view in use_case.views]
    return sa.union(
        *(
            sa.select(*(table.c[name] for name in use_case.entity.key_names))
            .where(*_known(table, as_of))
            .distinct()
            for table in histories
        )
    )


def _known(table: sa.Table, as_of: datetime) -> list[sa.ColumnElement[bool]]:
    return [table.c[clock] <= naive(as_of) for clock in (EVENT_TIME, tables.INGESTED_AT)]


def _merged(use_case: UseCase, frames: list[pd.DataFrame]) -> pd.DataFrame:
    names = list(use_case.entity.key_names)
    merged = reduce(lambda left, right: _outer(left, right, names), frames)
    order = [*names, EVENT_TIME, *(feature.name for feature in use_case.stored_features)]
    return merged[order].sort_values(names, ignore_index=True)


def _outer(left: pd.DataFrame, right: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    merged = left.merge(right, on=names, how="outer", suffixes=("", "__right"))
    both = [EVENT_TIME, f"{EVENT_TIME}__right"]
    merged[EVENT_TIME] = merged[both].max(axis=1)
    for name in merged.columns:
        if merged[name].dtype == object:
            merged[name] = merged[name].where(merged[name].notna(), None)
    return merged.drop(columns=both[1])
