"""All labelled rows of a use case with the moments at which each was known: the past, read once.

A training set is what was known as of one moment (`training_set.py`). A replay of the past needs one for
every day. So the tables are read once, and each row carries the stretch of time in which training sets hold
it: the rows whose stretch holds a moment are, in their order, the training set as of that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from evergreen.store.connection.arrow import digest_table, flatten_column, to_integers
from evergreen.store.history import asof
from evergreen.store.history.known_rows import (
    FOREVER,
    LONG_AGO,
    Entries,
    Moments,
    Places,
    compute_known_times,
    find_answering_rows,
)
from evergreen.store.history.query import Query, TableSelection
from evergreen.store.history.table_reader import TableReader
from evergreen.store.history.training_set import CACHE_MB
from evergreen.store.tables.table_state import check_tables_exist, find_settled_moment
from evergreen.usecase import EVENT_TIME

# The whole table of a selection, sorted by keys and both clocks, in parts of whole keys.
ReadParts = Callable[[TableSelection], Iterable[pa.Table]]


@dataclass(frozen=True, eq=False)
class LabelledHistory:
    """`table`: keys, event_time, stored features and label, sorted by (event_time, keys); a label and event
    time may have several rows, one for each version of its features or label.

    Of each row, in microseconds since 1970 and of shape (rows,): training sets as of a moment from
    `known_from` up to, without, `known_until` hold it. `asked_at` is when the row could stand for a request:
    the store knew the rows that were true at its event time, or else its label; FOREVER for the versions that
    came later. `label_known_at` is when its first label became known. `truth` is the label's last version.
    `digest` is the SHA-256 of all of it.
    """

    table: pa.Table
    known_from: Moments
    known_until: Moments
    asked_at: Moments
    label_known_at: Moments
    truth: pa.Array
    digest: str
    read_at: datetime

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def select_known(self, as_of: datetime, since: datetime | None = None) -> npt.NDArray[np.int64]:
        """The numbers of the rows of the training set as of a moment, with an event time after `since`."""
        moment = asof.to_microseconds(as_of)
        is_known = (self.known_from <= moment) & (moment < self.known_until)
        if since is not None:
            is_known &= to_integers(self.table[EVENT_TIME]) > asof.to_microseconds(since)
        return np.flatnonzero(is_known)


@dataclass(frozen=True, eq=False)
class _LabelVersions:
    """The labels (`identities`: keys and event time, each once), and the versions of their values.

    `starts`, of shape (labels + 1,): where the versions of each label begin in the other three, of shape
    (versions,): the value, and the moments from and until which it is known.
    """

    identities: pa.Table
    starts: Places
    values: pa.Array
    known_from: Moments
    known_until: Moments


def read_labelled_history(
    engine: sa.Engine,
    query: Query,
    *,
    by_event: bool = False,
    read_at: datetime | None = None,
    cache: Path | None = None,
    cache_mb: int = CACHE_MB,
) -> LabelledHistory:
    """Every labelled row that was ever known up to `query.as_of`, of a query without `since`.

    With `by_event`, the first version of a row counts as known at its event time, and that of a label at its
    event time + delay, whenever they were ingested: for a history that was loaded long after it happened.
    Later versions are known when they were ingested. Raises what `read_training_set` raises, except
    EmptyTrainingSet: the history may be empty.
    """
    with engine.connect() as connection:
        settled_at, states = find_settled_moment(connection, query.use_case, query.tables)
    check_tables_exist(states, query.tables)
    moment = read_at or settled_at
    with TableReader(engine, moment, states, query, cache, cache_mb) as reader:
        return join_history(reader.parts, query, moment, by_event=by_event)


def join_history(
    read_parts: ReadParts, query: Query, read_at: datetime, *, by_event: bool = False
) -> LabelledHistory:
    """The labelled history of the tables that `read_parts` reads; see `read_labelled_history`."""
    with ThreadPoolExecutor(asof.THREADS) as pool:
        labels = _read_label_versions(read_parts, query, by_event)
        label_keys = asof.Labels.of(labels.identities, query.key_names)
        views = [
            _read_view(read_parts, view, label_keys, query.key_names, by_event, pool) for view in query.views
        ]
        return _combine(query, labels, label_keys, views, read_at, pool)


def _read_label_versions(read_parts: ReadParts, query: Query, by_event: bool) -> _LabelVersions:
    names = [*query.key_names, EVENT_TIME, *query.label.column_names]
    delay, last = query.delay // timedelta(microseconds=1), asof.to_microseconds(query.as_of)
    tables, moments = [], []
    for rows in read_parts(query.label):
        known_at = compute_known_times(rows, query.key_names, delay, by_event)
        is_known = known_at <= last
        tables.append(rows.select(names).filter(pa.array(is_known)))
        moments.append(known_at[is_known])
    rows = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    known_at = np.concatenate(moments)
    is_first = asof.find_changes([flatten_column(rows[name]) for name in (*query.key_names, EVENT_TIME)])
    starts = np.append(np.flatnonzero(is_first), rows.num_rows)
    until = np.full(rows.num_rows, FOREVER, dtype=np.int64)
    until[:-1] = np.where(is_first[1:], FOREVER, known_at[1:])
    return _LabelVersions(
        identities=rows.select([*query.key_names, EVENT_TIME]).take(pa.array(starts[:-1])),
        starts=starts,
        values=flatten_column(rows[query.label.column_names[0]]),
        known_from=known_at,
        known_until=until,
    )


def _read_view(
    read_parts: ReadParts,
    view: TableSelection,
    labels: asof.Labels,
    keys: Sequence[str],
    by_event: bool,
    pool: Executor,
) -> tuple[Entries, pa.Table]:
    """The rows that answer the labels; and their columns, a row per entry."""
    schema = pa.schema([view.schema.field(name) for name in view.column_names])
    oldest = None if view.max_age is None else view.max_age // timedelta(microseconds=1)
    parts: list[Entries] = []
    tables: list[pa.Table] = [schema.empty_table()]
    first = rows_before = 0
    for rows in read_parts(view):
        if not rows.num_rows:
            continue
        end = labels.until(rows[keys[0]][-1].as_py())
        of_part, known_at = labels.slice(first, end), compute_known_times(rows, keys, 0, by_event)
        entries = find_answering_rows(of_part, rows, keys, known_at)
        age = of_part.times[entries.label] - to_integers(rows[EVENT_TIME])[entries.row]
        is_young = np.ones(len(age), dtype=bool) if oldest is None else age <= oldest
        columns = asof.take_rows(rows, schema.names, entries.row, is_young, pool)
        tables.append(pa.table(columns) if columns else schema.empty_table())
        parts.append(
            Entries(entries.label + first, entries.row + rows_before, entries.known_from, entries.stated_at)
        )
        first, rows_before = end, rows_before + rows.num_rows
    stated_at = np.full(len(labels), LONG_AGO, dtype=np.int64)
    stated_at[:first] = np.concatenate([part.stated_at for part in parts]) if parts else stated_at[:0]
    whole = Entries(
        _concatenate([part.label for part in parts]),
        _concatenate([part.row for part in parts]),
        _concatenate([part.known_from for part in parts]),
        stated_at,
    )
    return whole, pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def _combine(
    query: Query,
    labels: _LabelVersions,
    sought: asof.Labels,
    views: Sequence[tuple[Entries, pa.Table]],
    read_at: datetime,
    pool: Executor,
) -> LabelledHistory:
    """One row for each combination of features and label that was known together at some moment."""
    first_label_at = labels.known_from[labels.starts[:-1]]
    stated_at = np.max([entries.stated_at for entries, _ in views], axis=0, initial=LONG_AGO)
    asked_at = np.minimum(np.maximum(sought.times, stated_at), first_label_at)
    label, start, end = _cut_at_changes(asked_at, [entries for entries, _ in views])
    entry_of = [_find_entries(entries, label, start, len(sought)) for entries, _ in views]
    has_features = np.any([entry >= 0 for entry in entry_of], axis=0)
    # Each stretch of time with every version of its label.
    version_counts = np.diff(labels.starts)[label]
    stretch = np.repeat(np.arange(len(label)), version_counts)
    offset = np.arange(len(stretch)) - np.repeat(np.cumsum(version_counts) - version_counts, version_counts)
    version = labels.starts[label[stretch]] + offset
    known_from = np.maximum(start[stretch], labels.known_from[version])
    known_until = np.minimum(end[stretch], labels.known_until[version])
    is_asked = (start[stretch] == asked_at[label[stretch]]) & (offset == 0)
    places = np.flatnonzero(has_features[stretch] & (is_asked | (known_from < known_until)))
    # Labels are sorted by (keys, event_time), so a stable sort by time leaves keys and versions in order.
    places = places[np.argsort(sought.times[label[stretch[places]]], kind="stable")]
    stretch, version, is_asked = stretch[places], version[places], is_asked[places]
    known_from, label = known_from[places], label[stretch]
    columns = asof.take_rows(labels.identities, labels.identities.column_names, label, None, pool)
    for (_, table), entry in zip(views, entry_of, strict=True):
        entry_rows = entry[stretch]
        columns |= asof.take_rows(table, table.column_names, entry_rows, entry_rows >= 0, pool)
    columns[query.label.column_names[0]] = labels.values.take(pa.array(version))
    truth = labels.values.take(pa.array(labels.starts[1:][label] - 1))
    moments = (
        known_from,
        np.maximum(known_from, known_until[places]),
        np.where(is_asked, asked_at[label], FOREVER),
        first_label_at[label],
    )
    table = pa.table(columns)
    digest = _digest(table, moments, truth)
    return LabelledHistory(table, *moments, truth, digest, read_at)


def _concatenate(arrays: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.empty(0, dtype=np.int64), *arrays])


def _cut_at_changes(asked_at: Moments, views: Sequence[Entries]) -> tuple[Places, Moments, Moments]:
    """The stretches of time in which a label's features stay the same, from `asked_at` on, sorted by label
    and time: the label, the beginning and the end of each."""
    label = np.concatenate([np.arange(len(asked_at)), *(entries.label for entries in views)])
    moment = np.concatenate([asked_at, *(entries.known_from for entries in views)])
    counts = moment >= asked_at[label]
    label, moment = label[counts], moment[counts]
    order = np.lexsort((moment, label))
    label, moment = label[order], moment[order]
    is_new = np.ones(len(label), dtype=bool)
    is_new[1:] = (label[1:] != label[:-1]) | (moment[1:] != moment[:-1])
    label, moment = label[is_new], moment[is_new]
    end = np.full(len(label), FOREVER, dtype=np.int64)
    end[:-1] = np.where(label[1:] == label[:-1], moment[1:], FOREVER)
    return label, moment, end


def _find_entries(entries: Entries, label: Places, moment: Moments, labels: int) -> Places:
    """The entry that answers each label at each moment; -1 where none does yet."""
    starts = np.searchsorted(entries.label, np.arange(labels + 1))
    if not len(entries.label):
        return np.full(len(label), -1, dtype=np.int64)
    first = starts[label]
    last = asof.find_upper_bounds(entries.known_from, moment, first, starts[label + 1]) - 1
    return np.where(last >= first, last, -1)


def _digest(table: pa.Table, moments: Sequence[Moments], truth: pa.Array) -> str:
    names = ("known_from", "known_until", "asked_at", "label_known_at")
    for name, values in zip(names, moments, strict=True):
        table = table.append_column(f"__{name}", pa.array(values))
    return digest_table(table.append_column("__truth", truth))
