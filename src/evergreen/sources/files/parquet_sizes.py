"""Estimates how large rows of a Parquet file are when they are decoded, before they are.

The file's metadata give the bytes of a column chunk (the values of one column in one row group) as it is
encoded, without compression. Plain values have that size when they are decoded. In a dictionary each value is
counted once, however many rows refer to it, and DELTA_BYTE_ARRAY counts of each text what differs from the
one before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# The bytes of a row group that are read at once, because a row group may be as large as the file.
BUFFER = 1 << 18
# How many bytes one column may take beyond a batch's where its largest values are in adjacent rows.
_CLUMP_BYTES = 64 << 20
_WIDTH = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 8}
_DICTIONARY = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
_DELTA = "DELTA_BYTE_ARRAY"


@dataclass(frozen=True)
class ReadPlan:
    """How to read a row group: the number of rows per batch, and the columns (by their paths) that stay
    encoded as dictionaries."""

    rows: int
    as_dictionary: tuple[str, ...] = ()


def plan_row_group(
    file: pq.ParquetFile, stream: BinaryIO, group: int, batch_rows: int, batch_bytes: int
) -> ReadPlan:
    """How to read row group `group` in batches of at most `batch_rows` rows and about `batch_bytes` bytes,
    and of at most _CLUMP_BYTES more per column, however its values are distributed.

    Of a text column with a dictionary the longest value is looked up. Where a batch of such values would be
    too large, the column is read as a dictionary, which holds each value once.
    """
    row_group = file.metadata.row_group(group)
    rows = max(int(row_group.num_rows), 1)
    names = file.schema_arrow.names
    bytes_per_row = 0.0
    max_rows = batch_rows
    dictionary_columns: list[str] = []
    for number in range(row_group.num_columns):
        chunk, leaf = row_group.column(number), file.schema.column(number)
        encoded_bytes = max(int(chunk.total_uncompressed_size), 1)
        values_per_row = chunk.num_values / rows
        if leaf.physical_type != "BYTE_ARRAY":
            bytes_per_row += _WIDTH.get(leaf.physical_type, leaf.length) * values_per_row
            continue
        bytes_per_row += encoded_bytes / rows
        encodings = set(chunk.encodings)
        # Arrow reads a point in a path as nesting, also where it belongs to a column's name.
        top_level = leaf.path in names and "." not in leaf.path
        if top_level and encodings & _DICTIONARY and _DELTA not in encodings:
            dictionary_columns.append(leaf.path)
        elif encodings & {_DELTA, *_DICTIONARY}:
            # No value is longer than all values together as they are encoded.
            max_rows = min(max_rows, int(_CLUMP_BYTES / (encoded_bytes * max(values_per_row, 1.0))))
    fitting_rows = max(min(max_rows, int(batch_bytes / max(bytes_per_row, 1.0))), 1)
    longest = _measure_longest_values(file, stream, group, dictionary_columns)
    return ReadPlan(
        fitting_rows, tuple(name for name, size in longest.items() if fitting_rows * size > _CLUMP_BYTES)
    )


def estimate_row_sizes(batch: pa.RecordBatch) -> np.ndarray:
    """About how many bytes each row has without dictionaries. Shape (rows,), int64."""
    sizes = np.zeros(batch.num_rows, dtype=np.int64)
    for column in batch.columns:
        sizes += _estimate_value_sizes(column)
    return sizes


def _estimate_value_sizes(column: pa.Array) -> np.ndarray | int:
    """About how many bytes each value has: shape (rows,), int64, or one number for all of them."""
    kind = column.type
    if pa.types.is_dictionary(kind) and len(column.dictionary):
        codes = pc.fill_null(column.indices, 0).to_numpy(zero_copy_only=False)
        dictionary_sizes = np.broadcast_to(_estimate_value_sizes(column.dictionary), len(column.dictionary))
        sizes: np.ndarray = dictionary_sizes[codes]
        return sizes
    if _is_text(kind):
        lengths: np.ndarray = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64)
    return int(-(-column.nbytes // max(len(column), 1)))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _measure_longest_values(
    file: pq.ParquetFile, stream: BinaryIO, group: int, names: list[str]
) -> dict[str, int]:
    """The bytes of the longest value in each column's dictionary, which is complete once one row is read."""
    if not names:
        return {}
    reader = pq.ParquetFile(
        stream, metadata=file.metadata, read_dictionary=names, pre_buffer=False, buffer_size=BUFFER
    )
    longest = dict.fromkeys(names, 0)
    for first in reader.iter_batches(1, row_groups=[group], columns=names, use_threads=False):
        for name, column in zip(first.schema.names, first.columns, strict=True):
            if pa.types.is_dictionary(column.type):
                longest[name] = pc.max(pc.binary_length(column.dictionary)).as_py() or 0
        break
    return longest
