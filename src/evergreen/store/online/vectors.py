"""The newest features per key: as they are now for requests, or as of a moment for batch scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from typing import Any, cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from evergreen.store.connection.arrow import ARROW_TYPES, MOMENT, format_sql_literal, read_arrow
from evergreen.store.connection.database import get_request_engine
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.connection.values import FeatureValue, KeyTuple, StoredRow
from evergreen.store.history import asof, scan
from evergreen.store.history.query import TableSelection
from evergreen.store.online.packing import build_online_selects
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.store.tables.frames import to_frame
from evergreen.usecase import EVENT_TIME, FeatureView, UseCase

Keys = Sequence[KeyTuple]
Bound = Sequence[Any] | None


@dataclass(frozen=True, slots=True)
class OnlineVector:
    """The newest stored features of one key: plain values by name, None for missing.

    Features are also missing where a view has no row of the key (`missing_views`), or where its row is older
    than the view's `max_age` (`stale_views`).
    """

    features: dict[str, FeatureValue]
    missing_views: tuple[str, ...] = ()
    stale_views: tuple[str, ...] = ()


def read_online_vectors(
    engine: sa.Engine, use_case: UseCase, keys: Keys, now: datetime | None = None
) -> dict[KeyTuple, OnlineVector]:
    """The newest stored features by key tuple; one query per view for all keys together.

    A key that no view has is absent: see `find_missing_keys`. A view's rows grow old by `now` (aware UTC;
    None: this moment). Raises StoreUnreachable, also when MariaDB sends nothing for some seconds.
    """
    try:
        condition = _format_key_list(keys)
    except UnicodeEncodeError:
        # A text with half a surrogate pair cannot be encoded, so no stored key is such a text.
        return read_online_vectors(engine, use_case, [key for key in keys if _is_text(key)], now)
    if not keys:
        return {}
    now = now or datetime.now(UTC)
    blank: StoredRow = dict.fromkeys(feature.name for feature in use_case.stored_features)
    rows_by_view: dict[str, dict[KeyTuple, StoredRow]] = {}
    stale_by_view: dict[str, set[KeyTuple]] = {}
    with get_request_engine(engine).connect() as connection:
        for view, select in zip(use_case.views, build_online_selects(use_case), strict=True):
            rows = connection.exec_driver_sql(f"{select.head} {condition}").cursor.fetchall()
            vectors = rows_by_view[view.name] = select.decode(rows)
            stale_by_view[view.name] = set() if view.max_age is None else _blank_old(vectors, view, now)
    known = dict.fromkeys(key for vectors in rows_by_view.values() for key in vectors)
    return {key: _merge_vector(key, blank, rows_by_view, stale_by_view) for key in known}


def read_online_features(
    engine: sa.Engine, use_case: UseCase, keys: Keys, now: datetime | None = None
) -> dict[KeyTuple, StoredRow]:
    """The features alone of `read_online_vectors`."""
    vectors = read_online_vectors(engine, use_case, keys, now)
    return {key: cast("StoredRow", vector.features) for key, vector in vectors.items()}


def _merge_vector(
    key: KeyTuple,
    blank: StoredRow,
    rows_by_view: Mapping[str, Mapping[KeyTuple, StoredRow]],
    stale_by_view: Mapping[str, set[KeyTuple]],
) -> OnlineVector:
    features = dict(blank)
    missing = []
    for view, rows in rows_by_view.items():
        values = rows.get(key)
        if values is None:
            missing.append(view)
        else:
            features |= values
    stale = tuple([view for view, keys in stale_by_view.items() if key in keys])
    return OnlineVector(cast("dict[str, FeatureValue]", features), tuple(missing), stale)


def find_missing_keys(keys: Keys, rows_by_key: Mapping[KeyTuple, object]) -> list[KeyTuple]:
    """The keys of those given to `read_online_vectors` that it returned none for, in their order."""
    return [tuple(key) for key in keys if tuple(key) not in rows_by_key]


def read_latest_rows(engine: sa.Engine, use_case: UseCase) -> pd.DataFrame:
    """The whole online store: keys, `event_time` (the newest of the views') and stored features, by key."""
    tables = []
    for view in use_case.views:
        part = _build_selection(use_case, view, use_case.online_table(view))
        tables += [pa.concat_tables(scan.read_key_ranges(engine, part, None)).drop_columns([INGESTED_AT])]
    return _merge_views(use_case, tables)


def compute_key_ranges(
    engine: sa.Engine, use_case: UseCase, as_of: datetime, size: int
) -> list[tuple[Bound, Bound]]:
    """Ranges (after, until] of key tuples, each with `size` of the keys known as of a moment, the last fewer.

    The first has no lower and the last no upper bound, so that together they hold every key, also those that
    are ingested between two reads. None where no key is known.
    """
    keys = _read_keys_as_of(engine, use_case, as_of)
    names = use_case.entity.key_names
    if not keys.num_rows:
        return []
    sorted_keys = keys.sort_by([(name, "ascending") for name in names])
    last = sorted_keys.take(pa.array(range(size - 1, sorted_keys.num_rows - 1, size), pa.int64()))
    bounds = [list(key) for key in zip(*(last[name].to_pylist() for name in names), strict=True)]
    return list(zip([None, *bounds], [*bounds, None], strict=True))


def read_rows_as_of(
    engine: sa.Engine, use_case: UseCase, as_of: datetime, after: Bound = None, until: Bound = None
) -> pd.DataFrame:
    """The newest history row per key with event_time and ingested_at <= `as_of` (aware UTC), by key.

    Columns as of `read_latest_rows`; features older than their view's `max_age` at `as_of` are missing. Only
    keys greater than `after` and up to `until` (one value per key column; None: no bound).
    """
    names = use_case.entity.key_names
    where = " AND ".join([*_build_known_conditions(as_of), *scan.build_key_conditions(names, after, until)])
    tables = []
    for view in use_case.views:
        part = _build_selection(use_case, view, use_case.history_table(view))
        newest = [
            _take_newest_rows(rows, names) for rows in scan.read_key_ranges(engine, part, None, where=where)
        ]
        tables.append(_blank_old_columns(pa.concat_tables(newest), view, as_of))
    return _merge_views(use_case, tables)


def _format_key_list(keys: Keys) -> str:
    """A list of keys as SQL text, not as placeholders, which would cost more than the server's own work."""
    if all(len(key) == 1 for key in keys):
        return f"({','.join([format_sql_literal(key[0]) for key in keys])})"
    tuples = [",".join([format_sql_literal(part) for part in key]) for key in keys]
    return f"(({'),('.join(tuples)}))"


def _is_text(key: Sequence[Any]) -> bool:
    try:
        "".join(part for part in key if isinstance(part, str)).encode()
    except UnicodeEncodeError:
        return False
    return True


def _blank_old(vectors: dict[KeyTuple, StoredRow], view: FeatureView, now: datetime) -> set[KeyTuple]:
    """Take the event time out of each vector, and everything out of those that are too old; their keys."""
    assert view.max_age is not None
    oldest = to_naive_utc(now) - view.max_age
    stale = set()
    for key, values in vectors.items():
        event_time = values.pop(EVENT_TIME)
        if isinstance(event_time, datetime) and event_time < oldest:
            vectors[key] = dict.fromkeys(values)
            stale.add(key)
    return stale


def _build_selection(use_case: UseCase, view: FeatureView, table: str) -> TableSelection:
    keys = tuple((key.name, key.dtype) for key in use_case.entity.keys)
    return TableSelection(table, keys, tuple((feature.name, feature.dtype) for feature in view.features))


def _read_keys_as_of(engine: sa.Engine, use_case: UseCase, as_of: datetime) -> pa.Table:
    """The different keys that any view knew as of a moment, in no order."""
    keys = use_case.entity.keys
    names = ", ".join(f"`{key.name}`" for key in keys)
    schema = pa.schema([(key.name, ARROW_TYPES[key.dtype]) for key in keys])
    tables = [
        read_arrow(
            engine,
            f"SELECT DISTINCT {names} FROM `{use_case.history_table(view)}`"  # noqa: S608  checked names
            f" WHERE {' AND '.join(_build_known_conditions(as_of))}",
            schema,
        )
        for view in use_case.views
    ]
    return pa.concat_tables(tables).group_by(list(use_case.entity.key_names)).aggregate([])


def _build_known_conditions(as_of: datetime) -> list[str]:
    return [f"`{clock}` <= {format_sql_literal(as_of)}" for clock in (EVENT_TIME, INGESTED_AT)]


def _take_newest_rows(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The last row of each key: rows are sorted by keys and both clocks."""
    position = asof.find_last_rows(rows, names)
    return rows.take(pa.array(position)).drop_columns([INGESTED_AT])


def _blank_old_columns(rows: pa.Table, view: FeatureView, as_of: datetime) -> pa.Table:
    if view.max_age is None:
        return rows
    fresh = pc.greater_equal(rows[EVENT_TIME], pa.scalar(as_of - view.max_age, rows[EVENT_TIME].type))
    for name in view.feature_names:
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pc.if_else(fresh, rows[name], pa.scalar(None, rows[name].type)))
    return rows


def _merge_views(use_case: UseCase, tables: list[pa.Table]) -> pd.DataFrame:
    names = list(use_case.entity.key_names)
    merged = reduce(lambda merged, table: _join_outer(merged, table, names), tables)
    order = [*names, EVENT_TIME, *(feature.name for feature in use_case.stored_features)]
    return to_frame(merged.select(order).sort_by([(name, "ascending") for name in names]), names)


def _join_outer(first: pa.Table, second: pa.Table, names: list[str]) -> pa.Table:
    merged = first.join(second, names, join_type="full outer", right_suffix="__right")
    other = f"{EVENT_TIME}__right"
    newest = pc.max_element_wise(*(merged[name].cast(pa.int64()) for name in (EVENT_TIME, other)))
    place = merged.column_names.index(EVENT_TIME)
    return merged.set_column(place, EVENT_TIME, newest.cast(MOMENT)).drop_columns([other])
