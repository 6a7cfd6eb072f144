"""Rows of a Parquet file in batches, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from evergreen.errors import SourceUnreadable
from evergreen.sources.columns import check_distinct

_BUFFER = 1 << 18


def batches(
    name: str, open_file: Callable[[], BinaryIO], batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows with their types, categories as their values; first of all a batch without rows."""
    with open_file() as stream:
        try:
            # Pages are read as they are needed: a row group may be as large as the file.
            with pq.ParquetFile(
                stream, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True
            ) as file:
                schema = plain_schema(file.schema_arrow)
                index = _range_index(file.schema_arrow)
                check_distinct(name, [*schema.names, *(named for named, _ in index)])
                yield _with_index(schema.empty_table(), index, 0)
                done = 0
                fitting = _fitting(file.metadata, batch_bytes)
                for batch in file.iter_batches(min(batch_rows, fitting), use_threads=False):
                    # Spoilt pages may decode to what is no text.
                    batch.validate(full=True)
                    yield _with_index(pa.Table.from_batches([batch]).cast(schema), index, done)
                    done += batch.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0][:300]
            raise SourceUnreadable(
                f"{name} is not a sound Parquet file: {reason}",
                hint="write it again; a CSV file must not be named .parquet",
            ) from error


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns, with values instead of dictionaries and without what pandas noted."""
    return pa.schema([(field.name, _plain(field.type)) for field in schema])


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


def _fitting(metadata: pq.FileMetaData, batch_bytes: int) -> int:
    """How many rows have about that many bytes, by what the file says of itself."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    size = sum(int(group.total_byte_size) for group in groups)
    return max(batch_bytes * int(metadata.num_rows) // max(size, 1), 1)
