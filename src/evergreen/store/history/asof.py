"""The point-in-time join on Arrow columns: each label gets the newest row that was true and known by then.

Rows come as MariaDB keeps them, by keys, event time and ingestion time, so all rows of one key are one
segment, oldest first. One binary search per label, all labels at once, finds its row in its key's segment.
Parts of a table (whole segments each, in order) are joined one after the other, and only the rows that were
found are kept, so the memory is that of the labels and one part, however long the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.store.connection.arrow import flatten_column, to_integers
from evergreen.store.connection.times import to_naive_utc
from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME

THREADS = 2


@dataclass(frozen=True)
class Labels:
    """Keys and event times (microseconds) of labels, sorted by both: what rows are looked up for."""

    keys: tuple[pa.Array, ...]
    times: np.ndarray

    @staticmethod
    def of(table: pa.Table, keys: Sequence[str]) -> Labels:
        """The labels of a table that is sorted by keys and event time."""
        return Labels(tuple(flatten_column(table[name]) for name in keys), to_integers(table[EVENT_TIME]))

    def __len__(self) -> int:
        return len(self.times)

    def until(self, key: Any) -> int:
        """How many labels have a first key that is not greater."""
        first = self.keys[0]
        if pa.types.is_integer(first.type):
            return int(np.searchsorted(first.to_numpy(), key, side="right"))
        low, high = 0, len(first)
        while low < high:
            middle = (low + high) // 2
            if first[middle].as_py() <= key:
                low = middle + 1
            else:
                high = middle
        return low

    def slice(self, start: int, stop: int) -> Labels:
        """The labels from position `start` up to, without, `stop`."""
        return Labels(tuple(key[start:stop] for key in self.keys), self.times[start:stop])


def join_as_of(
    labels: pa.Table,
    views: Sequence[tuple[pa.Table, timedelta | None]],
    keys: Sequence[str],
    as_of: datetime,
) -> pa.Table:
    """Labels (keys, event_time, more) with the columns of each view (keys, event_time, ingested_at, more; and
    its max age), all in memory and in any order.

    A label gets from each view the newest row with event_time <= its own and ingested_at <= `as_of`, of one
    event time the last ingested, or missing values when that row is older than the max age or there is none.
    Labels that no view knows by their event time are left out. Sorted by (event_time, keys).
    """
    labels = labels.sort_by([(name, "ascending") for name in (*keys, EVENT_TIME)])
    label_rows = Labels.of(labels, keys)
    columns = {name: labels[name] for name in labels.column_names}
    has_features = np.zeros(len(label_rows), dtype=bool)
    with ThreadPoolExecutor(THREADS) as pool:
        for view, max_age in views:
            rows = view.sort_by([(name, "ascending") for name in (*keys, EVENT_TIME, INGESTED_AT)])
            names = [n for n in view.column_names if n not in (*keys, EVENT_TIME, INGESTED_AT)]
            features, has_row = look_up_features(
                label_rows, [rows], keys, rows.select(names).schema, as_of, max_age, pool
            )
            columns |= features
            has_features |= has_row
        return sort_known_labels(columns, label_rows, has_features, pool)


def look_up_features(
    labels: Labels,
    parts: Iterable[pa.Table],
    keys: Sequence[str],
    schema: pa.Schema,
    as_of: datetime,
    max_age: timedelta | None,
    pool: Executor,
) -> tuple[dict[str, pa.ChunkedArray], np.ndarray]:
    """The columns of `schema` from a view's parts, a row per label; and which labels have a row in the view.

    `parts` are sorted by keys, event time and ingestion time, each with all rows of its keys.
    """
    chunks: dict[str, list[pa.Array]] = {name: [] for name in schema.names}
    has_row = np.zeros(len(labels), dtype=bool)
    oldest = None if max_age is None else max_age // timedelta(microseconds=1)
    known_by = to_microseconds(as_of)
    next_label = 0
    for part in parts:
        if not part.num_rows:
            continue
        upto = labels.until(part[keys[0]][-1].as_py())
        index = find_newest_rows(labels.slice(next_label, upto), part, keys, known_by)
        hit = index >= 0
        has_row[next_label:upto] = hit
        if oldest is not None:
            times = to_integers(part[EVENT_TIME])
            hit[hit] = labels.times[next_label:upto][hit] - times[index[hit]] <= oldest
        for name, array in take_rows(part, schema.names, index, hit, pool).items():
            chunks[name].append(array)
        next_label = upto
    for field in schema:
        chunks[field.name].append(pa.nulls(len(labels) - next_label, field.type))
    return {
        name: _build_chunked_array(arrays, schema.field(name).type) for name, arrays in chunks.items()
    }, has_row


def find_newest_rows(labels: Labels, rows: pa.Table, keys: Sequence[str], known_by: int) -> np.ndarray:
    """For each label the number of its row, or -1. `known_by`: ingested_at in microseconds at most.

    `rows` are sorted by keys, event time and ingestion time; so of one event time the last is the one.
    """
    identity = [flatten_column(rows[name]) for name in keys]
    times = to_integers(rows[EVENT_TIME])
    position = None
    late = to_integers(rows[INGESTED_AT]) > known_by
    if late.any():
        position = np.flatnonzero(~late)
        identity = [key.take(pa.array(position)) for key in identity]
        times = times[position]
    result = np.full(len(labels), -1, dtype=np.int64)
    if not len(times) or not len(labels):
        return result
    starts = np.flatnonzero(find_changes(identity))
    ends = np.append(starts[1:], len(times))
    segment = _find_positions(labels.keys, [key.take(pa.array(starts)) for key in identity])
    hit = np.flatnonzero(segment >= 0)
    first = starts[segment[hit]]
    last = find_upper_bounds(times, labels.times[hit], first, ends[segment[hit]]) - 1
    result[hit] = np.where(last >= first, last, -1)
    if position is not None:
        result[result >= 0] = position[result[result >= 0]]
    return result


def find_last_versions(rows: pa.Table, keys: Sequence[str], mask: np.ndarray) -> np.ndarray:
    """The numbers of the rows that `mask` selects, of several with the same keys and event time the last."""
    position = np.flatnonzero(mask)
    if not len(position):
        return position
    identity = [flatten_column(rows[name]) for name in (*keys, EVENT_TIME)]
    if len(position) < len(mask):
        identity = [column.take(pa.array(position)) for column in identity]
    last_positions: np.ndarray = position[np.append(find_changes(identity)[1:], True)]
    return last_positions


def find_last_rows(rows: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """The number of each key's last row, of rows sorted by keys."""
    if not rows.num_rows:
        return np.empty(0, dtype=np.int64)
    ends: np.ndarray = np.flatnonzero(
        np.append(find_changes([flatten_column(rows[name]) for name in keys])[1:], True)
    )
    return ends


def take_rows(
    rows: pa.Table, names: Sequence[str], index: np.ndarray, hit: np.ndarray | None, pool: Executor
) -> dict[str, pa.Array]:
    """Those columns at those rows; missing where `hit` is False."""
    at = pa.array(index) if hit is None or hit.all() else pa.array(np.where(hit, index, 0), mask=~hit)
    return dict(zip(names, pool.map(lambda name: flatten_column(rows[name]).take(at), names), strict=True))


def sort_known_labels(
    columns: Mapping[str, pa.ChunkedArray], labels: Labels, has_features: np.ndarray, pool: Executor
) -> pa.Table:
    """The known labels' columns, sorted by (event_time, keys)."""
    # Labels are sorted by (keys, event_time): a stable sort by time leaves the keys in order.
    order = np.argsort(labels.times, kind="stable")
    if not has_features.all():
        order = order[has_features[order]]
    whole = pa.table(dict(columns))
    return pa.table(take_rows(whole, whole.column_names, order, None, pool))


def find_upper_bounds(times: np.ndarray, limits: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """For each i the first position in times[low[i]:high[i]] (ascending) that is later than limits[i]."""
    low, high = low.copy(), high.copy()
    longest = int((high - low).max(initial=0))
    for _ in range(longest.bit_length()):
        middle = (low + high) >> 1
        # Where low == high the search is over: `middle` may be past the end, and nothing may move.
        earlier = (times[np.minimum(middle, len(times) - 1)] <= limits) & (low < high)
        np.copyto(low, middle + 1, where=earlier)
        np.copyto(high, middle, where=~earlier)
    return low


def find_changes(columns: Sequence[pa.Array]) -> np.ndarray:
    """Whether each row differs from the one before; the first does."""
    rows = len(columns[0])
    differences = np.zeros(rows, dtype=bool)
    differences[:1] = True
    for column in columns:
        if pa.types.is_integer(column.type) or pa.types.is_timestamp(column.type):
            values = to_integers(column)
            differences[1:] |= values[1:] != values[:-1]
        else:
            differs = pc.not_equal(column[1:], column[:-1])
            differences[1:] |= differs.to_numpy(zero_copy_only=False)
    return differences


def _find_positions(key_columns: Sequence[pa.Array], among: Sequence[pa.Array]) -> np.ndarray:
    """The position of each key tuple among other tuples, which are all different; -1 where it is missing."""
    if len(among) == 1 and pa.types.is_integer(among[0].type):
        values, codes_of_keys = to_integers(among[0]), to_integers(key_columns[0])
        place_among = np.minimum(np.searchsorted(values, codes_of_keys), len(values) - 1)
        return np.where(values[place_among] == codes_of_keys, place_among, -1)
    if len(among) == 1:
        return _index_in(key_columns[0], among[0])
    codes, codes_of_keys = np.zeros(len(among[0]), np.int64), np.zeros(len(key_columns[0]), np.int64)
    for key_values, tuple_values in zip(key_columns, among, strict=True):
        values = tuple_values.unique()
        part = _index_in(key_values, values)
        missing = (codes_of_keys < 0) | (part < 0)
        # Two columns become one number each, renumbered so that it never outgrows 64 bits.
        tuple_numbers, codes = np.unique(
            codes * len(values) + _index_in(tuple_values, values), return_inverse=True
        )
        both = np.where(missing, -1, codes_of_keys * len(values) + part)
        place_among = np.minimum(np.searchsorted(tuple_numbers, both), len(tuple_numbers) - 1)
        codes_of_keys = np.where(tuple_numbers[place_among] == both, place_among, -1)
    place = np.empty(len(codes), dtype=np.int64)
    place[codes] = np.arange(len(codes))
    return np.where(codes_of_keys >= 0, place[codes_of_keys], -1)


def _index_in(values: pa.Array, among: pa.Array) -> np.ndarray:
    if values.type != among.type:
        values = values.cast(among.type)
    index: np.ndarray = pc.index_in(values, value_set=among).fill_null(-1).to_numpy()
    return index.astype(np.int64)


def _build_chunked_array(
    arrays: Iterator[pa.Array] | Sequence[pa.Array], kind: pa.DataType
) -> pa.ChunkedArray:
    """Chunks of one type; large_string when any is, because it was too long for string."""
    chunks = list(arrays)
    if any(pa.types.is_large_string(chunk.type) for chunk in chunks):
        kind = pa.large_string()
    return pa.chunked_array([chunk if chunk.type == kind else chunk.cast(kind) for chunk in chunks], kind)


def to_microseconds(moment: datetime) -> int:
    """A moment (aware) in microseconds since 1970."""
    return int(np.datetime64(to_naive_utc(moment), "us").astype(np.int64))
