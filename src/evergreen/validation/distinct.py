"""Finds the values of a feature that occur in more than one row of an ingest, in bounded memory.

Values wait in memory; beyond a limit they go to temporary files, divided by hash, so that each partition can
be grouped alone.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import EVENT_TIME

# How many bytes of all features together wait in memory before they go to disk.
MEMORY_BYTES = 32 * 1024 * 1024
# Into how many partitions they are divided there by the hash of the value: equal values are in one partition.
PARTITIONS = 64


class RepeatedValues:
    """The values of one feature, and which rows have them.

    Rows of the same identity (keys and event time) count as one row here: repeated identities are found by
    another check.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._spilled: list[IO[bytes]] = []

    def add(self, values: pa.Array, identities: np.ndarray) -> None:
        """Add a batch: the values of a clean column, and the identity of each row as `hash_identities` gives
        it. Missing values are ignored."""
        table = pa.table({"value": values, "row": pa.array(identities)})
        if values.null_count:
            table = table.filter(pc.is_valid(values))
        self._waiting.append(table)
        self._bytes += table.nbytes
        if self._bytes >= self._memory_bytes:
            self._spill()

    def count_repeats(self, max_examples: int) -> tuple[int, list[object]]:
        """How many rows share their value with another row, and up to `max_examples` such values."""
        count = 0
        examples: list[object] = []
        for partition in self._read_partitions():
            groups = partition.group_by("value").aggregate(
                [("row", "min"), ("row", "max"), ("row", "count_distinct")]
            )
            repeats = groups.filter(pc.not_equal(groups["row_min"], groups["row_max"]))
            count += pc.sum(repeats["row_count_distinct"]).as_py() or 0
            examples += repeats["value"].slice(0, max(max_examples - len(examples), 0)).to_pylist()
        return count, examples

    def _read_partitions(self) -> Iterator[pa.Table]:
        """All values with their rows; equal values are in one table."""
        if not self._spilled:
            if self._waiting:
                yield pa.concat_tables(self._waiting)
            return
        self._spill()
        for file in self._spilled:
            file.seek(0)
        readers = [pa.ipc.open_file(pa.PythonFile(file, "r")) for file in self._spilled]
        for partition in range(PARTITIONS):
            yield pa.Table.from_batches([reader.get_batch(partition) for reader in readers])

    def _spill(self) -> None:
        """Write the waiting values to a file, one record batch per partition. The file has no name, so that a
        killed process does not leave it behind."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._bytes = [], 0
        partitions = _hash_values(table["value"].combine_chunks()) % np.uint64(PARTITIONS)
        order = np.argsort(partitions, kind="stable")
        table = table.take(pa.array(order)).combine_chunks()
        bounds = np.searchsorted(partitions[order], np.arange(PARTITIONS + 1, dtype=np.uint64))
        file = tempfile.TemporaryFile(prefix="evergreen-")  # noqa: SIM115  open until the checker is gone
        with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer:
            for first, end in itertools.pairwise(bounds):
                piece = table.slice(first, end - first).to_batches()
                writer.write_batch(piece[0] if piece else _build_empty_batch(table.schema))
        self._spilled.append(file)


def hash_identities(table: pa.Table, keys: tuple[str, ...]) -> np.ndarray:
    """A 64-bit hash of each row's keys and event time. Shape (rows,), uint64."""
    total = np.zeros(table.num_rows, np.uint64)
    for name in (*keys, EVENT_TIME):
        values = table[name].combine_chunks()
        if name == EVENT_TIME:
            values = values.cast(pa.int64())
        total = (total ^ _hash_values(values)) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
    return total


def _hash_values(values: pa.Array) -> np.ndarray:
    return pd.util.hash_array(values.to_numpy(zero_copy_only=False), categorize=False)


def _build_empty_batch(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: [] for name in schema.names}, schema=schema)
