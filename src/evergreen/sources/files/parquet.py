"""Rows of a Parquet file in batches, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.column_names import check_distinct
from evergreen.sources.files.parquet_sizes import BUFFER, Reading, row_sizes, sized

# No row may be larger than so many batches.
_ROW_BATCHES = 2


def batches(
    name: str, open_file: Callable[[], BinaryIO], batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows with their types, categories as their values; first of all a batch without rows.

    A few bytes of a Parquet file can stand for gigabytes: a text is written once and referred to by every
    row. So the number of rows that are decoded at once follows from what they may become.

    Raises SourceUnreadable for what is broken, and for a row of more than two times `batch_bytes`.
    """
    with open_file() as stream:
        try:
            file = _opened(stream)
            schema = plain_schema(file.schema_arrow)
            index = _range_index(file.schema_arrow)
            check_distinct(name, [*schema.names, *(named for named, _ in index)])
            yield _with_index(schema.empty_table(), index, 0)
            done = 0
            for group in range(file.metadata.num_row_groups):
                reading = sized(file, stream, group, batch_rows, batch_bytes)
                expected = done + file.metadata.row_group(group).num_rows
                for piece in _decoded(name, stream, file, group, reading, done, batch_bytes):
                    yield _with_index(_plain_table(piece, schema), index, done)
                    done += piece.num_rows
                if done != expected:  # Arrow ends a group without an error where one column has too few
                    raise pa.ArrowInvalid(f"row group {group} holds other rows than its metadata say")
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0][:300]
            raise SourceUnreadable(
                f"{name} is not a sound Parquet file: {reason}",
                hint="write it again; a CSV file must not be named .parquet",
            ) from error


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns, with values instead of dictionaries and without what pandas noted."""
    return pa.schema([(field.name, _plain(field.type)) for field in schema])


def _opened(
    stream: BinaryIO, metadata: pq.FileMetaData | None = None, as_dictionary: tuple[str, ...] = ()
) -> pq.ParquetFile:
    return pq.ParquetFile(
        stream,
        metadata=metadata,
        read_dictionary=list(as_dictionary),
        pre_buffer=False,
        buffer_size=BUFFER,
        page_checksum_verification=True,
    )


def _decoded(
    name: str,
    stream: BinaryIO,
    file: pq.ParquetFile,
    group: int,
    reading: Reading,
    done: int,
    batch_bytes: int,
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of one row group, cut so that what a piece becomes has about `batch_bytes` at most."""
    limit = _ROW_BATCHES * batch_bytes
    if reading.as_dictionary:
        file = _opened(stream, file.metadata, reading.as_dictionary)
    for batch in file.iter_batches(reading.rows, row_groups=[group], use_threads=False):
        # Spoilt pages may decode to what is no text.
        batch.validate(full=True)
        if batch.nbytes <= limit and not any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
            yield batch
        else:
            yield from _cut(name, batch, done, batch_bytes, limit)
        done += batch.num_rows


def _cut(
    name: str, batch: pa.RecordBatch, done: int, batch_bytes: int, limit: int
) -> Generator[pa.RecordBatch, None, None]:
    ends = row_sizes(batch).cumsum()
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        end = max(int(ends.searchsorted(before + batch_bytes, side="right")), start + 1)
        if ends[end - 1] - before > limit:
            size = (int(ends[start]) - before) / (1 << 20)
            raise SourceUnreadable(
                f"{name}: row {done + start + 1} has {size:,.1f} MB, more than {limit >> 20}",
                hint="leave such values out of the file, or shorten them",
            )
        yield batch.slice(start, end - start)
        start = end


def _plain_table(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    columns = [_values(column).cast(field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _values(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _range_index(schema: pa.Schema) -> list[tuple[str, range]]:
    """A named index of evenly spaced numbers: pandas writes no column for it, just a note of the numbers."""
    note = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return [
        (index["name"], range(index["start"], index["stop"], index["step"]))
        for index in note.get("index_columns", ())
        if isinstance(index, dict) and index.get("kind") == "range" and index.get("name")
    ]


def _with_index(table: pa.Table, index: list[tuple[str, range]], done: int) -> pa.Table:
    for name, numbers in index:
        table = table.append_column(name, pa.array(numbers[done : done + table.num_rows], pa.int64()))
    return table
