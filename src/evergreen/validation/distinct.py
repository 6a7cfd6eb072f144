"""Finds values that stand in more than one row of an ingest, for any number of rows in bounded memory."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from evergreen.usecase import EVENT_TIME

# What of all features waits in memory before it goes to disk, and into how many parts it is then divided by
# its values' hash: equal values lie in one part, and one part at a time is looked through.
MEMORY_BYTES = 32 * 1024 * 1024
PARTITIONS = 64


class RepeatedValues:
    """The values of one feature and the rows they stand in.

    Rows of the same identity are one row here: whether an identity may stand in several is another check.
    """

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._memory_bytes = memory_bytes
        self._waiting: list[pa.Table] = []
        self._bytes = 0
        self._spilled: list[IO[bytes]] = []

    def add(self, values: pa.Array, identities: np.ndarray) -> None:
        """Values of a cast column, and who holds them (`hash_identities`); missing values are none."""
        table = pa.table({"value": values, "row": pa.array(identities)})
        if values.null_count:
            table = table.filter(pc.is_valid(values))
        self._waiting.append(table)
        self._bytes += table.nbytes
        if self._bytes >= self._memory_bytes:
            self._spill()

    def found(self, most: int) -> tuple[int, list[Any]]:
        """How many rows share their value with another row, and up to `most` such values."""
        count = 0
        examples: list[Any] = []
        for part in self._parts():
            groups = part.group_by("value").aggregate(
                [("row", "min"), ("row", "max"), ("row", "count_distinct")]
            )
            shared = groups.filter(pc.not_equal(groups["row_min"], groups["row_max"]))
            count += pc.sum(shared["row_count_distinct"]).as_py() or 0
            examples += shared["value"].slice(0, max(most - len(examples), 0)).to_pylist()
        return count, examples

    def _parts(self) -> Iterator[pa.Table]:
        """The rows of all values, such that equal values come in one table."""
        if not self._spilled:
            if self._waiting:
                yield pa.concat_tables(self._waiting)
            return
        self._spill()
        for file in self._spilled:
            file.seek(0)
        readers = [pa.ipc.open_file(pa.PythonFile(file, "r")) for file in self._spilled]
        for part in range(PARTITIONS):
            yield pa.Table.from_batches([reader.get_batch(part) for reader in readers])

    def _spill(self) -> None:
        """What waits goes to a file without a name, which no killed process leaves behind."""
        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting).combine_chunks()
        self._waiting, self._bytes = [], 0
        part = _hash_values(table["value"].combine_chunks()) % np.uint64(PARTITIONS)
        order = np.argsort(part, kind="stable")
        table = table.take(pa.array(order)).combine_chunks()
        bounds = np.searchsorted(part[order], np.arange(PARTITIONS + 1, dtype=np.uint64))
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
