"""The newest features per key, for requests and for batch scoring."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evergreen.store import tables
from evergreen.store.frames import read_frame
from evergreen.usecase import UseCase


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
            statement = sa.select(*(table.c[n] for n in (*names, tables.EVENT_TIME, *view.feature_names)))
            frames.append(read_frame(connection, statement, use_case))
    merged = reduce(lambda left, right: _outer(left, right, names), frames)
    order = [*names, tables.EVENT_TIME, *(feature.name for feature in use_case.stored_features)]
    return merged[order].sort_values(names, ignore_index=True)


def _outer(left: pd.DataFrame, right: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    merged = left.merge(right, on=names, how="outer", suffixes=("", "__right"))
    both = [tables.EVENT_TIME, f"{tables.EVENT_TIME}__right"]
    merged[tables.EVENT_TIME] = merged[both].max(axis=1)
    for name in merged.columns:
        if merged[name].dtype == object:
            merged[name] = merged[name].where(merged[name].notna(), None)
    return merged.drop(columns=both[1])
