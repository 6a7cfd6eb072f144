"""Rows of a CSV text in batches, in bounded memory."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.dialect import parse_header
from evergreen.sources.files.quotes import find_misplaced_quote
from evergreen.sources.files.text import Utf8Stream

# What is parsed at once; no row may be longer. Arrow reads up to 32 of them ahead.
_BLOCK = 1 << 20
_TAIL = 1 << 16


def read_batches(
    name: str, open_file: Callable[[], BinaryIO], delimiter: str = "", encoding: str = ""
) -> Generator[pa.Table, None, None]:
    """The rows, all columns of type string with null for an empty field; first of all a batch without rows.

    Raises SourceUnreadable with the line for what is in another encoding, broken, or not text at all, and
    SettingsError for a delimiter or an encoding that is none.
    """
    with Utf8Stream(name, open_file, encoding) as text:
        head = text.read(_BLOCK)
        if not head.strip():
            raise SourceUnreadable(f"{name} is empty", hint="give a file with a header line and rows")
        names, delimiter = parse_header(name, _decode_head(head), delimiter)
        text.unread(head)
        schema = pa.schema([(column, pa.string()) for column in names])
        if not head.strip(b"\r\n").replace(b"\r", b"\n").count(b"\n") and len(head) < _BLOCK:
            # Arrow takes a header without a line end for an empty file.
            yield schema.empty_table()
            return
        broken: list[Any] = []
        rows = 0
        try:
            reader = _open_reader(text, names, delimiter, broken)
            if reader.schema.names != names:
                raise SourceUnreadable(
                    f"{name} has a header that cannot be understood: {', '.join(names)[:80]!r}",
                    hint="quote its names where they hold quotes, delimiters or line ends",
                )
            yield schema.empty_table()
            for batch in reader:
                if broken:
                    break
                rows += batch.num_rows
                yield pa.Table.from_batches([batch])
        except pa.ArrowException as error:
            raise _translate_arrow_error(name, open_file, text, delimiter, error) from error
        if broken:
            raise _build_ragged_row_error(name, open_file, text, delimiter, broken)
        if text.quotes:
            _check_quotes(name, open_file, text, delimiter, rows)


def _open_reader(text: Utf8Stream, names: list[str], delimiter: str, broken: list[Any]) -> Any:
    def note(row: Any) -> str:
        broken.append(row)
        return "skip"

    return pyarrow.csv.open_csv(
        text,
        # One thread, for only then does the reader know the number of a broken row.
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
            check_utf8=False,  # checked as it was read
        ),
    )


def _decode_head(head: bytes) -> str:
    # The last letter may be cut off where the head ends.
    return codecs.getincrementaldecoder("utf-8")().decode(head)


def _build_ragged_row_error(
    name: str, open_file: Callable[[], BinaryIO], text: Utf8Stream, delimiter: str, broken: list[Any]
) -> SourceUnreadable:
    first = broken[0]
    if '"' in first.text:
        with Utf8Stream(name, open_file, text.encoding) as again:
            line = find_misplaced_quote(again, delimiter, _BLOCK)
        if line is not None:
            return _build_unclosed_quote_error(name, line)
    return SourceUnreadable(
        f"{name}: row {first.number} has {first.actual_columns} fields instead of"
        f" {first.expected_columns} ({len(broken)} such rows so far): {first.text[:80]!r}",
        hint=f"quote fields that hold a {delimiter!r}; the header counts as row 1",
    )


def _check_quotes(
    name: str, open_file: Callable[[], BinaryIO], text: Utf8Stream, delimiter: str, rows: int
) -> None:
    """Refuse quotes that swallow rows. Without line ends in values only the last row can be one's."""
    tail = text.last[-_TAIL:]
    last_line = tail.rstrip(b"\r\n").rpartition(b"\n")[2]
    one_line_each = text.line_ends == rows + tail.endswith(b"\n") and b"\r" not in last_line
    if (
        one_line_each
        and len(last_line) < len(tail)
        and find_misplaced_quote(io.BytesIO(last_line), delimiter, _BLOCK) is None
    ):
        return
    with Utf8Stream(name, open_file, text.encoding) as again:
        line = find_misplaced_quote(again, delimiter, _BLOCK)
    if line is not None:
        raise _build_unclosed_quote_error(name, line)


def _translate_arrow_error(
    name: str, open_file: Callable[[], BinaryIO], text: Utf8Stream, delimiter: str, error: BaseException
) -> SourceUnreadable:
    reason = str(error).partition("\n")[0][:300]
    if "straddles" in reason:
        with Utf8Stream(name, open_file, text.encoding) as again:
            line = find_misplaced_quote(again, delimiter, _BLOCK)
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
