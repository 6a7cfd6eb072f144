"""What rows of a Parquet file become when they are decoded, told before they are.

Metadata give the bytes of a column chunk as it is encoded (uncompressed). For plain values that is what they
become; a dictionary's values are counted once, however many rows refer to them, and DELTA_BYTE_ARRAY counts
of each text what differs from the one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Pages are read as they are needed: a row group may be as large as the file.
BUFFER = 1 << 18
# What one column may take beyond a batch's bytes where its largest values happen to stand together.
_CLUMP_BYTES = 64 << 20
_WIDTH = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_DELTA = "DELTA_BYTE_ARRAY"


@dataclass(frozen=True)
class ReadPlan:
    """How to read a row group: so many rows at once, and those columns (by their paths) as dictionaries."""

    rows: int
    as_dictionary: tuple[str, ...] = ()


def plan_row_group(
    file: pq.ParquetFile, stream: BinaryIO, group: int, batch_rows: int, batch_bytes: int
) -> ReadPlan:
    """How many rows of a row group have about `batch_bytes`, and at most _CLUMP_BYTES more per column however
    its values are spread.

    Of texts with a dictionary the longest is looked up. Where few such rows would be too much, the column is
    read as a dictionary, in which a value stands once.
    """
    chunks = file.metadata.row_group(group)
    rows = max(int(chunks.num_rows), 1)
    names = file.schema_arrow.names
    per_row = 0.0
    most = batch_rows
    with_dictionary: list[str] = []
    for number in range(chunks.num_columns):
        chunk, leaf = chunks.column(number), file.schema.column(number)
        written = max(int(chunk.total_uncompressed_size), 1)
        values_per_row = chunk.num_values / rows
        if leaf.physical_type != "BYTE_ARRAY":
            per_row += _WIDTH.get(leaf.physical_type, leaf.length) * values_per_row
            continue
        per_row += written / rows
        encodings = set(chunk.encodings)
        # Arrow takes a point in a path for nesting, also where it belongs to a column's name.
        plain = leaf.path in names and "." not in leaf.path
        if plain and encodings & _DICTIONARY and _DELTA not in encodings:
            with_dictionary.append(leaf.path)
        elif encodings & {_DELTA, *_DICTIONARY}:
            # No value is longer than all that is written of them.
            most = min(most, int(_CLUMP_BYTES / (written * max(values_per_row, 1.0))))
    fitting = max(min(most, int(batch_bytes / max(per_row, 1.0))), 1)
    longest = _measure_longest_values(file, stream, group, with_dictionary)
    return ReadPlan(fitting, tuple(name for name, size in longest.items() if fitting * size > _CLUMP_BYTES))


def estimate_row_sizes(batch: pa.RecordBatch) -> np.ndarray:
    """About how many bytes each row has once its values stand for themselves. Shape (rows,), int64."""
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        sizes += _estimate_value_sizes(column)
    return sizes


def _estimate_value_sizes(column: pa.Array) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind) and len(column.dictionary):
        codes = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
        return np.broadcast_to(_estimate_value_sizes(column.dictionary), len(column.dictionary))[codes]
    if _is_text(kind):
        return pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return -(-column.nbytes // max(len(column), 1))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _measure_longest_values(
    file: pq.ParquetFile, stream: BinaryIO, group: int, names: list[str]
) -> dict[str, int]:
    """The bytes of the longest value in each column's dictionary, which the first row brings along."""
    if not names:
        return {}
    reader = pq.ParquetFile(
        stream, metadata=file.metadata, read_dictionary=names, pre_buffer=False, buffer_size=BUFFER
    )
    found = dict.fromkeys(names, 0)
    for first in reader.iter_batches(1, row_groups=[group], columns=names, use_threads=False):
        for name, column in zip(first.schema.names, first.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                found[name] = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        break
    return found
