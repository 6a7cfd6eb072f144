"""Raw rows of a source, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from evergreen.errors import SourceError, SourceUnreadable
from evergreen.hiding import hide_secrets
from evergreen.settings import Settings
from evergreen.sources import sql
from evergreen.sources.ahead import read_ahead
from evergreen.sources.files import formats, places
from evergreen.usecase import ROW_NUMBER, FileSource, Source

if TYPE_CHECKING:
    import pandas as pd

# The most rows of one batch, and about the most bytes.
BATCH_ROWS = 65_536
BATCH_BYTES = 8 << 20


@dataclass(frozen=True)
class SourceInput:
    """One file, or the answer of one query, not yet read.

    `name`: where it is, without passwords. `digest`: sha256 (hex) of a file's content as it is stored, and
    `size` its bytes; "" and None for a query.
    """

    name: str
    digest: str
    size: int | None
    rows: Callable[[], Generator[pa.Table, None, None]] = field(repr=False, compare=False)
    may_be_empty: bool = True

    def batches(self, *, numbered: bool = False) -> Iterator[pa.Table]:
        """The rows in their order, at most BATCH_ROWS at a time, in memory that does not depend on how many
        they are; a thread reads ahead. At least one batch, which may have no rows, so that the columns are
        known.

        Columns have the source's names; a CSV's are of type string, null for an empty field. `numbered` adds
        the int64 column ROW_NUMBER ("#"), in place of one of the source: 1 is the first row of data.

        Raises SourceUnreachable, SourceUnreadable, SettingsError, perhaps after some batches: who loads rows
        must not keep any before the last one came.
        """
        return read_ahead(partial(self._shaped, numbered))

    def _shaped(self, numbered: bool) -> Generator[pa.Table, None, None]:
        with closing(self.rows()) as pieces:
            columns, done = next(pieces), 0
            for batch in _regroup_rows(pieces):
                yield _add_row_numbers(batch, done) if numbered else batch
                done += batch.num_rows
        if not done:
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
    """What there is to read: each file of a source, sorted by name, or one query for what a database recorded
    from a day before `start` to `end` (aware UTC), so that rows committed late are read by the next interval.

    Files are found and their digests taken; remote ones are brought here. `override` (a path, glob or URL)
    takes the place of a file source; without it the setting EVERGREEN_SOURCES does. A file alone must have
    rows; of several, some may have none.

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
    found = places.find_files(place, settings.home)
    return [
        SourceInput(
            content.name,
            content.digest,
            content.size,
            partial(formats.read_file_batches, content, source, BATCH_ROWS, BATCH_BYTES),
            may_be_empty=len(found) > 1,
        )
        for content in found
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
    """All rows and columns of `open_source` in memory, for small uses.

    A CSV's columns hold str or a missing value, so that validation judges their types; Parquet, JSON and SQL
    keep the types they come with. With `numbered` there is the column ROW_NUMBER, which counts within each
    file.
    """
    import pandas as pd

    inputs = open_source(source, settings, use_case_name, start=start, end=end, override=override)
    tables = [table for given in inputs for table in given.batches(numbered=numbered)]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        # Values of several kinds in one column: as objects they stay what they are.
        return pd.concat([_to_frame(table).astype(object) for table in tables], ignore_index=True)
    return _to_frame(table)


def _regroup_rows(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in batches of BATCH_ROWS, fewer where they are large or their types change."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in pieces:
        for offset in range(0, table.num_rows, BATCH_ROWS):
            piece = table.slice(offset, BATCH_ROWS)
            full = rows + piece.num_rows > BATCH_ROWS or size + piece.nbytes > BATCH_BYTES
            if waiting and (full or piece.schema != waiting[0].schema):
                yield pa.concat_tables(waiting).combine_chunks()
                waiting, rows, size = [], 0, 0
            waiting.append(piece)
            rows, size = rows + piece.num_rows, size + piece.nbytes
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _to_frame(table: pa.Table) -> pd.DataFrame:
    # As objects: pandas must not make floats of integers that have gaps.
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True, ignore_metadata=True)
    return frame


def _add_row_numbers(table: pa.Table, before: int) -> pa.Table:
    numbers = pa.array(range(before + 1, before + table.num_rows + 1), pa.int64())
    if ROW_NUMBER in table.column_names:
        table = table.drop_columns([ROW_NUMBER])
    return table.append_column(ROW_NUMBER, numbers)


def _resolve_declared_path(source: FileSource, settings: Settings) -> str:
    """The declared place; a relative path starts at the folder that holds the home, wherever we run."""
    return source.path if "://" in source.path else str(settings.home.resolve().parent / source.path)


def _describe_connection(connection: str) -> str:
    return sql.format_url(sql.parse_url(connection)) if "://" in connection else connection
