"""Bulk loading of rows into a table: Arrow writes them as CSV, and LOAD DATA LOCAL INFILE reads the file.

Where the server or the connection refuses LOCAL INFILE, the rows are inserted by multi-row INSERT statements.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.hiding import hide_values
from evergreen.ingest.loading.sorter import translate_disk_errors
from evergreen.store.connection.database import LOCAL_INFILE_REFUSED, get_error_code

_INSERT_ROWS = 1000
_BLOCK_BYTES = 16 * 1024 * 1024  # a row must fit into it


@dataclass(frozen=True)
class RowsFile:
    """Rows as a CSV file without a header: strings are quoted, a missing value is an empty field.

    `with_nulls` names the columns that have missing values.
    """

    path: Path
    rows: int
    schema: pa.Schema
    with_nulls: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the file."""
        return tuple(self.schema.names)


class ContentDigest:
    """SHA-256 over the names and types of columns and over their rows, which may come in any number of
    files."""

    def __init__(self) -> None:
        self._total = hashlib.sha256()
        self._has_columns = False

    def begin(self, table: pa.Table) -> None:
        """Take the columns of the first table; later ones have the same."""
        if not self._has_columns:
            self._total.update("".join(f"{f.name}:{f.type}\x1f" for f in table.schema).encode())
            self._has_columns = True

    def update(self, data: bytes) -> None:
        """Take the next bytes of the rows."""
        self._total.update(data)

    def hexdigest(self) -> str:
        """The digest in hexadecimal digits."""
        return self._total.hexdigest()


def write_rows(table: pa.Table, path: Path, digest: ContentDigest | None = None) -> RowsFile:
    """Write a table to a file in the form that `load_rows` takes, moments in UTC; `digest` is updated with
    what is written."""
    if digest is not None:
        digest.begin(table)
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            # Without a zone, because MariaDB's literal has no offset.
            naive = table.column(number).cast(pa.timestamp("us"))
            table = table.set_column(number, field.name, naive)
    with translate_disk_errors(path.parent), path.open("wb") as file:
        options = pyarrow.csv.WriteOptions(include_header=False)
        pyarrow.csv.write_csv(table, file if digest is None else _DigestingFile(file, digest), options)
    nulls = tuple(name for name in table.column_names if table[name].null_count)
    return RowsFile(path, table.num_rows, table.schema, nulls)


def load_rows(
    connection: sa.Connection,
    name: str,
    file: RowsFile,
    *,
    fixed: Mapping[str, datetime] | None = None,
    replace: bool = False,
) -> None:
    """Load a file into the table `name`, in the caller's transaction.

    Columns of `fixed` get the same value in every row. With `replace` a row replaces the one with its primary
    key; without it two rows of one key are an error. Raises StoreError when a value or a row did not arrive
    as it was written.
    """
    if not file.rows:
        return
    fixed = fixed or {}
    try:
        _load_data(connection, name, file, fixed, replace)
    except sa.exc.DBAPIError as error:
        if get_error_code(error) not in LOCAL_INFILE_REFUSED:
            raise
        _insert_rows(connection, name, file, fixed, replace)


def fill_temporary_table(connection: sa.Connection, name: str, like: sa.Table, file: RowsFile) -> None:
    """Create the temporary table `name` with those columns of `like` that the file has, and fill it.

    Neither ends the transaction. The table exists until `drop_temporary_table` or the end of the connection.
    """
    drop_temporary_table(connection, name)
    definitions = ", ".join(
        f"`{column}` {like.c[column].type.compile(dialect=connection.dialect)}" for column in file.columns
    )
    # Names come from a checked declaration, so they need no quoting beyond the backticks.
    connection.exec_driver_sql(
        f"CREATE TEMPORARY TABLE `{name}` ({definitions})"
        " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"
    )
    load_rows(connection, name, file)


def drop_temporary_table(connection: sa.Connection, name: str) -> None:
    """Drop a temporary table if there is one; a permanent one of that name is not dropped."""
    connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS `{name}`")


class _DigestingFile:
    """A file that passes everything written to it to a digest as well."""

    closed = False

    def __init__(self, file: IO[bytes], digest: ContentDigest) -> None:
        self._file, self._digest = file, digest

    def write(self, data: bytes) -> int:
        """Write bytes to both."""
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Flush the file."""
        self._file.flush()

    def close(self) -> None:
        """Do nothing: the caller closes the file."""


def _load_data(
    connection: sa.Connection, name: str, file: RowsFile, fixed: Mapping[str, datetime], replace: bool
) -> None:
    # An empty field is a missing value, because validation has turned empty texts into missing values.
    # Columns without missing values are loaded directly, which is quicker.
    nulls = {column: f"@c{number}" for number, column in enumerate(file.columns) if column in file.with_nulls}
    fields = ", ".join(nulls.get(column, f"`{column}`") for column in file.columns)
    # Compared by length, because under many collations a text of spaces or of zero-width characters equals
    # the empty one.
    assignments = [
        f"`{column}` = IF(LENGTH({variable}) = 0, NULL, {variable})" for column, variable in nulls.items()
    ]
    assignments += [f"`{column}` = %s" for column in fixed]
    result = connection.exec_driver_sql(
        f"LOAD DATA LOCAL INFILE %s {'REPLACE ' if replace else ''}INTO TABLE `{name}` CHARACTER SET utf8mb4"
        " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY ''"
        f" LINES TERMINATED BY '\n' ({fields}){' SET ' if assignments else ''}{', '.join(assignments)}",
        (str(file.path), *fixed.values()),
    )
    # LOCAL turns errors into warnings; a load that lost or changed a value must not be committed.
    warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
    if warnings:
        messages = "; ".join(hide_values(str(message)) for _, _, message in warnings[:5])
        raise _build_load_error(name, f"{messages}{'; ...' if len(warnings) > 5 else ''}")
    if result.rowcount < file.rows or (result.rowcount > file.rows and not replace):
        raise _build_load_error(name, f"{result.rowcount} of {file.rows} rows arrived")


def _build_load_error(name: str, why: str) -> StoreError:
    return StoreError(
        f"table {name} does not take the rows as they are: {why}",
        hint="validation lets no such row pass: see whether the table was changed by hand",
    )


def _insert_rows(
    connection: sa.Connection, name: str, file: RowsFile, fixed: Mapping[str, datetime], replace: bool
) -> None:
    table = pyarrow.csv.read_csv(
        file.path,
        read_options=pyarrow.csv.ReadOptions(
            column_names=file.columns, use_threads=False, block_size=_BLOCK_BYTES
        ),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=file.schema, null_values=[""], strings_can_be_null=True
        ),
    )
    if table.num_rows != file.rows:
        raise _build_load_error(name, f"{table.num_rows} of {file.rows} rows were read again")
    # As with LOAD DATA, an empty text (which is quoted) is a missing value in a column with missing values.
    for number, field in enumerate(table.schema):
        if field.name in file.with_nulls and (
            pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        ):
            column = table.column(number)
            empty = pc.equal(pc.binary_length(column), 0)
            table = table.set_column(
                number, field.name, pc.if_else(empty, pa.scalar(None, field.type), column)
            )
    names = ", ".join(f"`{column}`" for column in (*file.columns, *fixed))
    places = ", ".join(["%s"] * (len(file.columns) + len(fixed)))
    statement = f"{'REPLACE' if replace else 'INSERT'} INTO `{name}` ({names}) VALUES ({places})"  # noqa: S608
    fixed_values = tuple(fixed.values())
    for start in range(0, file.rows, _INSERT_ROWS):
        columns = [column.to_pylist() for column in table.slice(start, _INSERT_ROWS).columns]
        try:
            connection.exec_driver_sql(
                statement, [(*row, *fixed_values) for row in zip(*columns, strict=True)]
            )
        except sa.exc.DataError as error:
            raise _build_load_error(name, str(error.orig)) from error
