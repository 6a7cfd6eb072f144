"""Uniqueness over any number of rows: the same answer in memory and by way of the disk."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from evergreen.validation.distinct import RepeatedValues, hash_identities

ROWS = st.lists(st.tuples(st.none() | st.integers(0, 12), st.integers(0, 5)), max_size=30)


@settings(max_examples=60)
@given(st.lists(ROWS, max_size=4), st.booleans(), st.sampled_from([1, 100, 10**9]))
def test_repeats_are_values_of_several_rows(
    batches: list[list[tuple[int | None, int]]], texts: bool, memory: int
) -> None:
    repeats = RepeatedValues(memory_bytes=memory)
    holders: dict[object, set[int]] = defaultdict(set)
    for batch in batches:
        values = [f"v{value}" if texts and value is not None else value for value, _ in batch]
        kind = pa.string() if texts else pa.int64()
        repeats.add(pa.array(values, kind), np.array([row for _, row in batch], np.uint64))
        for value, (_, row) in zip(values, batch, strict=True):
            if value is not None:
                holders[value].add(row)
    shared = {value: rows for value, rows in holders.items() if len(rows) > 1}
    count, examples = repeats.count_repeats(3)
    assert count == sum(map(len, shared.values()))
    assert len(examples) == min(3, len(shared))
    assert set(examples) <= set(shared)
    assert repeats.count_repeats(3)[0] == count  # asking changes nothing


def test_an_identity_is_the_keys_and_the_time() -> None:
    times = [datetime(2026, 1, 1 + day, tzinfo=UTC) for day in (0, 0, 1, 0, 0)]
    table = pa.table(
        {
            "client": pa.array([1, 1, 1, 2, 1]),
            "place": pa.array(["a", "b", "a", "a", "a"]),
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )
    one, place, time, client, again = hash_identities(table, ("client", "place"))
    assert one == again
    assert len({one, place, time, client}) == 4
