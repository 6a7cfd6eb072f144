"""Rows of a Parquet file in batches, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.column_names import check_column_names
from evergreen.sources.files.parquet_sizes import BUFFER, ReadPlan, estimate_row_sizes, plan_row_group

# No row may have more bytes than so many batches.
_ROW_BATCHES = 2


def read_batches(
    name: str, open_file: Callable[[], BinaryIO], batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows of a file as batches, with their types and the values of categories; the first batch has no
    rows.

    A few bytes of a Parquet file can become gigabytes, because a text is written once and referred to by
    every row. So the number of rows that are decoded together depends on the size that they may have
    (`ReadPlan`).

    Raises SourceUnreadable for a broken file, and for a row of more than twice `batch_bytes`.
    """
    with open_file() as stream:
        try:
            file = _open_file(stream)
            schema = build_plain_schema(file.schema_arrow)
            index = _read_range_index(file.schema_arrow)
            check_column_names(name, [*schema.names, *(index_name for index_name, _ in index)])
            yield _append_index(schema.empty_table(), index, 0)
            rows_before = 0
            for group in range(file.metadata.num_row_groups):
                plan = plan_row_group(file, stream, group, batch_rows, batch_bytes)
                expected = rows_before + file.metadata.row_group(group).num_rows
                for piece in _read_row_group(name, stream, file, group, plan, rows_before, batch_bytes):
                    yield _append_index(_build_plain_table(piece, schema), index, rows_before)
                    rows_before += piece.num_rows
                # Arrow ends a group without an error where one column has too few rows.
                if rows_before != expected:
                    raise pa.ArrowInvalid(f"row group {group} holds other rows than its metadata say")
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0][:300]
            raise SourceUnreadable(
                f"{name} is not a sound Parquet file: {reason}",
                hint="write it again; a CSV file must not be named .parquet",
            ) from error


def build_plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns, with values instead of dictionaries and without pandas' metadata."""
    return pa.schema([(field.name, _to_plain_type(field.type)) for field in schema])


def _open_file(
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


def _read_row_group(
    name: str,
    stream: BinaryIO,
    file: pq.ParquetFile,
    group: int,
    plan: ReadPlan,
    rows_before: int,
    batch_bytes: int,
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of one row group in pieces of about `batch_bytes` at most, decoded; `rows_before` rows of the
    file come before them."""
    limit = _ROW_BATCHES * batch_bytes
    if plan.as_dictionary:
        file = _open_file(stream, file.metadata, plan.as_dictionary)
    for batch in file.iter_batches(plan.rows, row_groups=[group], use_threads=False):
        # Damaged pages may decode to bytes that are not UTF-8.
        batch.validate(full=True)
        if batch.nbytes <= limit and not any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
            yield batch
        else:
            yield from _split_batch(name, batch, rows_before, batch_bytes, limit)
        rows_before += batch.num_rows


def _split_batch(
    name: str, batch: pa.RecordBatch, rows_before: int, batch_bytes: int, limit: int
) -> Generator[pa.RecordBatch, None, None]:
    """A batch in pieces of about `batch_bytes` at most. Raises SourceUnreadable for a row of more than
    `limit` bytes."""
    ends = estimate_row_sizes(batch).cumsum()
    start = 0
    while start < batch.num_rows:
        before = int(ends[start - 1]) if start else 0
        end = max(int(ends.searchsorted(before + batch_bytes, side="right")), start + 1)
        if ends[end - 1] - before > limit:
            size = (int(ends[start]) - before) / (1 << 20)
            raise SourceUnreadable(
                f"{name}: row {rows_before + start + 1} has {size:,.1f} MB, more than {limit >> 20}",
                hint="leave such values out of the file, or shorten them",
            )
        yield batch.slice(start, end - start)
        start = end


def _build_plain_table(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    columns = [
        _decode_dictionary(column).cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _decode_dictionary(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _to_plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _to_plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    return kind


def _read_range_index(schema: pa.Schema) -> list[tuple[str, range]]:
    """The named indexes of evenly spaced numbers: pandas writes no column for them, only metadata."""
    pandas_metadata = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    return [
        (index["name"], range(index["start"], index["stop"], index["step"]))
        for index in pandas_metadata.get("index_columns", ())
        if isinstance(index, dict) and index.get("kind") == "range" and index.get("name")
    ]


def _append_index(table: pa.Table, index: list[tuple[str, range]], rows_before: int) -> pa.Table:
    for name, numbers in index:
        table = table.append_column(
            name, pa.array(numbers[rows_before : rows_before + table.num_rows], pa.int64())
        )
    return table
