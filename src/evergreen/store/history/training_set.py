"""The training set: labels joined to the features that were true at their event time, as known at a moment.

It is (query, moment of the system's clock, content digest): all its rows are read FOR SYSTEM_TIME AS OF one
moment, chosen while no load was on its way, so they are one state of the store, and can be read again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from evergreen.errors import EmptyTrainingSet
from evergreen.store.connection.arrow import digest_table, to_integers
from evergreen.store.history import asof
from evergreen.store.history.query import Query, build_query
from evergreen.store.history.table_reader import TableReader
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.store.tables.frames import to_frame
from evergreen.store.tables.table_state import (
    check_history_kept,
    check_tables_exist,
    find_settled_moment,
    read_states,
)
from evergreen.usecase import EVENT_TIME, UseCase

CACHE_MB = 4096


@dataclass(frozen=True)
class TrainingSet:
    """`table`: keys, event_time (the label's), stored features, label; sorted by (event_time, keys).

    Numbers are int64 or float64, categories and texts strings, missing values null. `digest` is the SHA-256
    of its content; `query` and `read_at` (UTC, of the server's clock) say how to read it again.
    """

    table: pa.Table
    digest: str
    as_of: datetime
    read_at: datetime
    query: Query

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The same as a frame: features float64 with NaN or objects of str or None."""
        return to_frame(self.table, self.query.key_names)

    def __len__(self) -> int:
        return int(self.table.num_rows)


def read_training_set(
    engine: sa.Engine,
    use_case: UseCase,
    as_of: datetime,
    since: datetime | None = None,
    *,
    read_at: datetime | None = None,
    cache: Path | None = None,
    cache_mb: int = CACHE_MB,
) -> TrainingSet:
    """The point-in-time join of a use case's labels and feature views.

    A label counts when it was ingested by `as_of`, `event_time + delay <= as_of`, and, if `since` is given
    and labels have a time, `event_time > since`; of several versions the one ingested last by `as_of`. It
    gets from each view the newest row with `event_time <=` its own that was ingested by `as_of` (of several
    versions the last ingested), or missing values where there is none or it is older than the view's
    `max_age`. A label that no view knows is left out.

    The rows are those of the server's moment `read_at`; None: of now, after waiting for a load on its way.
    `cache` is a folder for what was read, up to `cache_mb`, which is read next time if nothing has changed.

    Raises EmptyTrainingSet when no row is left, HistoryExpired when the rows of `read_at` are no longer
    kept, SchemaMismatch, StoreUnreachable, and StoreError before the tables exist.
    """
    return read_query(engine, build_query(use_case, as_of, since), read_at, cache=cache, cache_mb=cache_mb)


def read_query(
    engine: sa.Engine,
    query: Query,
    read_at: datetime | None = None,
    *,
    cache: Path | None = None,
    cache_mb: int = CACHE_MB,
) -> TrainingSet:
    """The training set of a query; see `read_training_set`."""
    with engine.connect() as connection:
        if read_at is None:
            read_at, states = find_settled_moment(connection, query.use_case, query.tables)
        else:
            states = read_states(connection, query.tables)
            check_history_kept(states, read_at)
    check_tables_exist(states, query.tables)
    with (
        TableReader(engine, read_at, states, query, cache, cache_mb) as reader,
        ThreadPoolExecutor(asof.THREADS) as pool,
    ):
        joined, labels = _join_labels(reader, query, pool)
    if not joined.num_rows:
        raise EmptyTrainingSet(
            f"{query.use_case} has no labelled row as of {query.as_of.isoformat()}"
            + (f" with an event time after {query.since.isoformat()}" if query.since else "")
            + (f" ({labels} labels, none with features)" if labels else ""),
            hint=f"ingest first (evergreen run ingest {query.use_case} --as-of ...), or choose a later moment"
            + (f"; labels are known {query.delay} after their event time" if query.delay else ""),
        )
    return TrainingSet(joined, digest_table(joined), query.as_of, read_at, query)


def _join_labels(reader: TableReader, query: Query, pool: Executor) -> tuple[pa.Table, int]:
    """The joined table, and how many labels there were."""
    with _read_first_ahead(reader.parts(query.views[0])) as first:
        return _look_up_views(reader, query, pool, first)


@contextmanager
def _read_first_ahead(parts: Iterator[pa.Table]) -> Iterator[Iterator[pa.Table]]:
    """The same parts; reading of the first starts at once, because one table alone leaves a core idle."""
    with ThreadPoolExecutor(1) as ahead:
        first = ahead.submit(lambda: list(islice(parts, 1)))

        def rest() -> Iterator[pa.Table]:
            yield from first.result()
            yield from parts

        try:
            yield rest()
        finally:
            first.exception()  # a generator at work cannot be closed
            if isinstance(parts, Generator):
                parts.close()


def _look_up_views(
    reader: TableReader, query: Query, pool: Executor, first: Iterator[pa.Table]
) -> tuple[pa.Table, int]:
    labels = _read_labels(reader, query, pool)
    label_rows = asof.Labels.of(labels, query.key_names)
    target = query.label.column_names[0]
    columns = {name: labels[name] for name in (*query.key_names, EVENT_TIME)}
    has_features = np.zeros(len(label_rows), dtype=bool)
    for view in query.views:
        schema = pa.schema([view.schema.field(name) for name in view.column_names])
        rows = iter(())
        if len(label_rows):
            rows = first if view is query.views[0] else reader.parts(view)
        features, has_row = asof.look_up_features(
            label_rows, rows, query.key_names, schema, query.as_of, view.max_age, pool
        )
        columns |= features
        has_features |= has_row
    columns[target] = labels[target]
    return asof.sort_known_labels(columns, label_rows, has_features, pool), len(label_rows)


def _read_labels(reader: TableReader, query: Query, pool: Executor) -> pa.Table:
    """Keys, event time and target of the labels that count, sorted by keys and time."""
    names = [*query.key_names, EVENT_TIME, *query.label.column_names]
    tables: list[pa.Table] = []
    last = asof.to_microseconds(query.as_of - query.delay)
    first = asof.to_microseconds(query.since) if query.since else None
    for rows in reader.parts(query.label):
        times = to_integers(rows[EVENT_TIME])
        counts = (times <= last) & (to_integers(rows[INGESTED_AT]) <= asof.to_microseconds(query.as_of))
        if first is not None:
            counts &= times > first
        position = asof.find_last_versions(rows, query.key_names, counts)
        tables.append(pa.table(asof.take_rows(rows, names, position, None, pool)))
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()
