"""Raw rows of a source, a database query or files of any kind, as Arrow batches or as one frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import pandas as pd
import pyarrow as pa

from evergreen.errors import SourceError, SourceUnreadable
from evergreen.hiding import hide_secrets
from evergreen.settings import Settings
from evergreen.sources import sql
from evergreen.sources.ahead import read_ahead
from evergreen.sources.files import formats, places
from evergreen.usecase import ROW_NUMBER, FileSource, Source

# The greatest number of rows of a batch, and about the greatest number of bytes.
BATCH_ROWS = 65_536
BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class SourceInput:
    """One file, or the result of one query, not yet read.

    `name` is its address without passwords, `digest` the sha256 (hex) of a file's content as it is stored and
    `size` its bytes; they are "" and None for a query. `rows` opens it: its batches in any size, of which the
    first has no rows. Without `may_be_empty`, an input of no rows is refused.
    """

    name: str
    digest: str
    size: int | None
    rows: Callable[[], Generator[pa.Table, None, None]] = field(repr=False, compare=False)
    may_be_empty: bool = True

    def batches(self, *, numbered: bool = False) -> Iterator[pa.Table]:
        """The rows in their order as batches of at most BATCH_ROWS rows, in bounded memory; a thread reads
        ahead. There is at least one batch, which may have no rows, so that the columns are known.

        Columns have the source's names; a CSV's are of type string, null for an empty field. `numbered` adds
        the int64 column ROW_NUMBER ("#"), or replaces one of that name; the first row of data has number 1.

        Raises SourceUnreachable, SourceUnreadable or SettingsError, perhaps after some batches: a caller must
        not commit rows before the last batch.
        """
        return read_ahead(partial(self._read_batches, numbered))

    def _read_batches(self, numbered: bool) -> Generator[pa.Table, None, None]:
        with closing(self.rows()) as pieces:
            columns, rows_before = next(pieces), 0
            for batch in _regroup_rows(pieces):
                yield _add_row_numbers(batch, rows_before) if numbered else batch
                rows_before += batch.num_rows
        if not rows_before:
            if not self.may_be_empty:
                raise SourceUnreadable(
                    f"{self.name} has a header but no rows",
                    hint="give a file with at least one row below its header",
                )
            yield _add_row_numbers(columns, 0) if numbered else columns


def open_source(
    source: Source,
    settings: Settings,
    use_case_name: str,
    *,
    start: datetime,
    end: datetime,
    override: str = "",
) -> list[SourceInput]:
    """The inputs of a source: each file, sorted by name, or one query.

    A query covers what the database recorded from a day before `start` to `end` (aware UTC), so that rows
    which were committed late are read by the next interval. The digests of files are computed here, and
    remote files are downloaded. `override` (a path, glob or URL) replaces the path of a file source; without
    it the setting EVERGREEN_SOURCES may. A single file must have rows; of several, some may have none.

    Raises SourceUnreachable, SourceUnreadable, or SourceError for an unknown connection or an override of a
    database.
    """
    if not isinstance(source, FileSource):
        if override:
            raise SourceError(
                f"{use_case_name} reads the database {_describe_connection(source.connection)!r};"
                f" the file {hide_secrets(override)} cannot take its place",
                hint="leave the source empty, or declare a FileSource",
            )
        url = sql.find_source_url(source, settings)
        rows = partial(
            sql.read_query_batches,
            source,
            url,
            start=start,
            end=end,
            batch_rows=BATCH_ROWS,
            batch_bytes=BATCH_BYTES,
        )
        return [SourceInput(sql.format_url(url), "", None, rows)]
    place = override or settings.sources.get(use_case_name) or _resolve_declared_path(source, settings)
    contents = places.find_files(place, settings.home)
    return [
        SourceInput(
            content.name,
            content.digest,
            content.size,
            partial(formats.read_file_batches, content, source, BATCH_ROWS, BATCH_BYTES),
            may_be_empty=len(contents) > 1,
        )
        for content in contents
    ]


def read_source(
    source: Source,
    settings: Settings,
    use_case_name: str,
    *,
    start: datetime,
    end: datetime,
    override: str = "",
    numbered: bool = False,
) -> pd.DataFrame:
    """All rows and columns of `open_source` as one frame in memory, for small sources.

    A CSV's columns hold str or a missing value; validation casts them. Columns of Parquet, JSON and SQL keep
    their types. With `numbered` there is the column ROW_NUMBER, which counts within each file.
    """
    inputs = open_source(source, settings, use_case_name, start=start, end=end, override=override)
    tables = [table for source_input in inputs for table in source_input.batches(numbered=numbered)]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        # A column has values of several kinds; as objects they keep their types.
        return pd.concat([_to_frame(table).astype(object) for table in tables], ignore_index=True)
    return _to_frame(table)


def _regroup_rows(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in batches of BATCH_ROWS, fewer where they are large or their types change."""
    pending: list[pa.Table] = []
    rows = size = 0
    for table in pieces:
        for offset in range(0, table.num_rows, BATCH_ROWS):
            piece = table.slice(offset, BATCH_ROWS)
            full = rows + piece.num_rows > BATCH_ROWS or size + piece.nbytes > BATCH_BYTES
            if pending and (full or piece.schema != pending[0].schema):
                yield pa.concat_tables(pending).combine_chunks()
                pending, rows, size = [], 0, 0
            pending.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
    if pending:
        yield pa.concat_tables(pending).combine_chunks()


def _to_frame(table: pa.Table) -> pd.DataFrame:
    # As objects, because pandas would turn integers with missing values into floats.
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return frame


def _add_row_numbers(table: pa.Table, rows_before: int) -> pa.Table:
    numbers = pa.array(range(rows_before + 1, rows_before + table.num_rows + 1), pa.int64())
    if ROW_NUMBER in table.column_names:
        table = table.drop_columns([ROW_NUMBER])
    return table.append_column(ROW_NUMBER, numbers)


def _resolve_declared_path(source: FileSource, settings: Settings) -> str:
    """The declared path or URL; a relative path starts at the folder that holds EVERGREEN_HOME, whatever the
    current folder is."""
    return source.path if "://" in source.path else str(settings.home.resolve().parent / source.path)


def _describe_connection(connection: str) -> str:
    """The id of a Connection, or a URL without its password."""
    return sql.format_url(sql.parse_url(connection)) if "://" in connection else connection
