"""Rows of a CSV text in batches, in bounded memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.dialect import parse_header
from evergreen.sources.files.quotes import find_misplaced_quote
from evergreen.sources.files.text import Utf8Stream

# How many bytes are parsed at once; no row may be longer. Arrow reads up to 32 blocks ahead.
_BLOCK = 1 << 20
# Within so many bytes of the end the last line is looked for.
_TAIL = 1 << 16


def read_batches(
    name: str, open_file: Callable[[], BinaryIO], delimiter: str = "", encoding: str = ""
) -> Generator[pa.Table, None, None]:
    """The rows of a file as batches; the first batch has no rows.

    All columns are of type string, null for an empty field. An empty `delimiter` or `encoding` is detected.
    Raises SourceUnreadable, with the line, for another encoding, broken rows, or what is not text, and
    SettingsError for a declared delimiter or encoding that does not exist.
    """
    with Utf8Stream(name, open_file, encoding) as text:
        head = text.read(_BLOCK)
        if not head.strip():
            raise SourceUnreadable(f"{name} is empty", hint="give a file with a header line and rows")
        names, delimiter = parse_header(name, _decode_head(head), delimiter)
        text.unread(head)
        schema = pa.schema([(column, pa.string()) for column in names])
        if not head.strip(b"\r\n").replace(b"\r", b"\n").count(b"\n") and len(head) < _BLOCK:
            # Arrow reads a header without a line end as an empty file.
            yield schema.empty_table()
            return
        broken_rows: list[pyarrow.csv.InvalidRow] = []
        rows = 0
        try:
            reader = _open_reader(text, names, delimiter, broken_rows)
            if reader.schema.names != names:
                raise SourceUnreadable(
                    f"{name} has a header that cannot be understood: {', '.join(names)[:80]!r}",
                    hint="quote its names where they hold quotes, delimiters or line ends",
                )
            yield schema.empty_table()
            for batch in reader:
                if broken_rows:
                    break
                rows += batch.num_rows
                yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise _translate_arrow_error(name, open_file, text, delimiter, error) from error
        if broken_rows:
            raise _build_ragged_row_error(name, open_file, text, delimiter, broken_rows)
        if text.quotes:
            _check_quotes(name, open_file, text, delimiter, rows)


def _open_reader(
    text: Utf8Stream, names: list[str], delimiter: str, broken_rows: list[pyarrow.csv.InvalidRow]
) -> pyarrow.csv.CSVStreamingReader:
    """Arrow's reader of the text; it appends rows with too many or too few fields to `broken_rows`."""

    def skip_row(broken_row: pyarrow.csv.InvalidRow) -> str:
        """Arrow's handler of broken rows; its answer says that the row is left out."""
        broken_rows.append(broken_row)
        return "skip"

    return pyarrow.csv.open_csv(
        text,
        # One thread: with more the reader does not know the number of a broken row.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip_row
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,  # Utf8Stream has checked it
        ),
    )


def _decode_head(head: bytes) -> str:
    # An incremental decoder ignores a last character that is cut off.
    return codecs.getincrementaldecoder("utf-8")().decode(head)


def _build_ragged_row_error(
    name: str,
    open_file: Callable[[], BinaryIO],
    text: Utf8Stream,
    delimiter: str,
    broken_rows: list[pyarrow.csv.InvalidRow],
) -> SourceUnreadable:
    """The error for rows of another number of fields than the header, or for the unclosed quote behind it."""
    first = broken_rows[0]
    if '"' in first.text:
        with Utf8Stream(name, open_file, text.encoding) as second_reading:
            line = find_misplaced_quote(second_reading, delimiter, _BLOCK)
        if line is not None:
            return _build_unclosed_quote_error(name, line)
    return SourceUnreadable(
        f"{name}: row {first.number} has {first.actual_columns} fields instead of"
        f" {first.expected_columns} ({len(broken_rows)} such rows so far): {first.text[:80]!r}",
        hint=f"quote fields that hold a {delimiter!r}; the header counts as row 1",
    )


def _check_quotes(
    name: str, open_file: Callable[[], BinaryIO], text: Utf8Stream, delimiter: str, rows: int
) -> None:
    """Raise SourceUnreadable for an unclosed quote, which makes one value of several rows.

    Where each of the `rows` rows is one line, only the last row can have one: then the last line is enough.
    Otherwise the file is read again.
    """
    tail = text.last[-_TAIL:]
    last_line = tail.rstrip(b"\r\n").rpartition(b"\n")[2]
    one_line_each = text.line_ends == rows + tail.endswith(b"\n") and b"\r" not in last_line
    if (
        one_line_each
        and len(last_line) < len(tail)
        and find_misplaced_quote(io.BytesIO(last_line), delimiter, _BLOCK) is None
    ):
        return
    with Utf8Stream(name, open_file, text.encoding) as second_reading:
        line = find_misplaced_quote(second_reading, delimiter, _BLOCK)
    if line is not None:
        raise _build_unclosed_quote_error(name, line)


def _translate_arrow_error(
    name: str, open_file: Callable[[], BinaryIO], text: Utf8Stream, delimiter: str, error: BaseException
) -> SourceUnreadable:
    """Arrow's error as one that names the unclosed quote or the row that is too long, if that is the
    cause."""
    reason = str(error).partition("\n")[0][:300]
    if "straddles" in reason:
        with Utf8Stream(name, open_file, text.encoding) as second_reading:
            line = find_misplaced_quote(second_reading, delimiter, _BLOCK)
        if line is not None:
            return _build_unclosed_quote_error(name, line)
        return SourceUnreadable(
            f"{name} has a row of more than {_BLOCK >> 20} MB", hint="leave such values out, or give Parquet"
        )
    return SourceUnreadable(f"{name} is not a sound CSV file: {reason}", hint="look at its first lines")


def _build_unclosed_quote_error(name: str, line: int) -> SourceUnreadable:
    return SourceUnreadable(
        f"{name}: a quote opens in line {line} and is not closed where its field ends",
        hint="close it, or double a quote that belongs to the text; perhaps the file was cut off",
    )
