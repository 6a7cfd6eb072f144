"""Chunks: the sorted rows of a part as files for LOAD DATA, some megabytes each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from evergreen.errors import StoreError
from evergreen.ingest.loading.bulk import ContentDigest, RowsFile, write_rows
from evergreen.ingest.loading.sorter import RowSorter, find_equal_rows
from evergreen.usecase import EVENT_TIME

CHUNK_BYTES = 10 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Chunk:
    """Rows in key order, one per identity (the keys and the event time).

    `earliest` is their least event time (aware UTC). `newest` has each key's last row, `keys` each key once;
    None where `write_chunks` was not asked for them.
    """

    rows: RowsFile
    earliest: datetime
    newest: RowsFile | None
    keys: RowsFile | None

    def discard(self) -> None:
        """Remove the files."""
        for file in (self.rows, self.newest, self.keys):
            if file is not None:
                file.path.unlink(missing_ok=True)


def write_chunks(
    sorter: RowSorter,
    columns: Sequence[str],
    folder: Path,
    digest: ContentDigest,
    *,
    with_newest: bool = False,
    with_keys: bool = False,
) -> Generator[Chunk, None, None]:
    """Write all rows of the sorter, with those columns, to files in `folder`; `digest` is updated with them.

    Raises StoreError when the rows lack a column.
    """
    names = [name for name in sorter.identity if name != EVENT_TIME]
    for number, table in enumerate(_gather_tables(sorter.merged(), columns)):
        last_rows = table
        if with_newest or with_keys:
            same_key = find_equal_rows(
                table.slice(0, table.num_rows - 1), table.slice(1), names, null_is_equal=False
            )
            last_rows = table.filter(pa.array([*(~same_key), True]))
        yield Chunk(
            write_rows(table, folder / f"{number}.rows.csv", digest),
            _find_earliest(table),
            write_rows(last_rows, folder / f"{number}.newest.csv") if with_newest else None,
            write_rows(last_rows.select(names), folder / f"{number}.keys.csv") if with_keys else None,
        )


def _gather_tables(pieces: Iterator[pa.Table], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Tables of about CHUNK_BYTES. A merge may yield much smaller ones, and each LOAD DATA has a fixed
    cost."""
    waiting: list[pa.Table] = []
    size = 0
    for piece in pieces:
        missing = [name for name in columns if name not in piece.column_names]
        if missing:
            raise StoreError(
                f"the rows have no column {', '.join(missing)}",
                hint="validate them first: it renames and completes the source's columns",
            )
        waiting.append(piece.select(columns))
        size += piece.nbytes
        if size >= CHUNK_BYTES:
            yield pa.concat_tables(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting)


def _find_earliest(table: pa.Table) -> datetime:
    return _EPOCH + timedelta(microseconds=pc.min(table[EVENT_TIME]).value)
