"""A spool's rows as files for LOAD DATA, some megabytes each."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from evergreen.errors import StoreError
from evergreen.ingest.loading.bulk import ContentDigest, RowsFile, write_rows
from evergreen.ingest.loading.sorter import RowSorter, find_equal_rows
from evergreen.usecase import EVENT_TIME

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_BYTES = 10 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Chunk:
    """Rows in key order, one per identity. `earliest` is their least event time (aware UTC). `newest` has
    each key's last row, `keys` each key once; None where nobody asked for them."""

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
    spool: RowSorter,
    columns: Sequence[str],
    folder: Path,
    digest: ContentDigest,
    *,
    with_newest: bool = False,
    with_keys: bool = False,
) -> Generator[Chunk, None, None]:
    """All rows of the spool with those columns, as files in `folder`; `digest` reads along.

    Raises StoreError when the rows lack a column.
    """
    import pyarrow as pa

    names = [name for name in spool.identity if name != EVENT_TIME]
    for number, table in enumerate(_gather_tables(spool.merged(), columns)):
        last = table
        if with_newest or with_keys:
            same = find_equal_rows(
                table.slice(0, table.num_rows - 1), table.slice(1), names, null_is_equal=False
            )
            last = table.filter(pa.array([*(~same), True]))
        yield Chunk(
            write_rows(table, folder / f"{number}.rows.csv", digest),
            _find_earliest(table),
            write_rows(last, folder / f"{number}.newest.csv") if with_newest else None,
            write_rows(last.select(names), folder / f"{number}.keys.csv") if with_keys else None,
        )


def _gather_tables(pieces: Iterator[pa.Table], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Tables of about CHUNK_BYTES: a merge may give much smaller ones, and each LOAD has its costs."""
    import pyarrow as pa

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
    import pyarrow.compute as pc

    return _EPOCH + timedelta(microseconds=pc.min(table[EVENT_TIME]).value)
