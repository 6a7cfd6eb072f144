"""Rows of JSON lines in batches, in bounded memory."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.json

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.column_names import build_too_many_columns_error
from evergreen.sources.files.text import Utf8Stream

_BLOCK = 8 << 20
# What is looked at once for its members, and the values that are read at once. Arrow makes a column for each
# member's name, with a place for it in every row: 10,000 lines with a member of their own each, 100 kB, would
# take more than a gigabyte.
_LOOK_BYTES = 1 << 16
_LOOK_LINES = 512
_MAX_VALUES = 1 << 21
_MAX_MEMBERS = 5_000
_MEMBER = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:')
_ROW = re.compile(r" in row (\d+)\Z")


def read_batches(
    name: str, open_file: Callable[[], BinaryIO], encoding: str = ""
) -> Generator[pa.Table, None, None]:
    """The rows, each an object of one line; first of all a batch without rows.

    The file is read twice: a member may appear for the first time in the last line, and what looks like a
    whole number at first may be a fraction later. Numbers are int64 or float64, texts stay texts (dates too),
    objects and lists keep their shape; a member that is absent is null.

    Raises SourceUnreadable, with the line, for what is no object, has a member twice, has members of one name
    with values of two kinds, or more members than a table has columns.
    """
    schema = pa.schema([])
    for start, whole in _read_blocks(name, open_file, encoding):
        for line, block in _split_block(start, whole, _LOOK_LINES, _LOOK_BYTES):
            if block.count(b'":') > _MAX_MEMBERS and len(set(_MEMBER.findall(block))) > _MAX_MEMBERS:
                raise build_too_many_columns_error(f"{name}: line {line}", _MAX_MEMBERS)
            found = _to_plain_schema(_parse_block(name, line, block, None).schema)
            if found == schema:
                continue
            try:
                schema = pa.unify_schemas([schema, found], promote_options="permissive")
            except pa.ArrowException as error:
                raise _build_type_conflict_error(name, line, schema, found) from error
            if _count_leaves(schema) > _MAX_MEMBERS:
                raise build_too_many_columns_error(f"{name} up to line {line}", _MAX_MEMBERS)
    yield schema.empty_table()
    lines = max(_MAX_VALUES // max(_count_leaves(schema), 1), 1)
    for start, whole in _read_blocks(name, open_file, encoding):
        for line, block in _split_block(start, whole, lines, _BLOCK):
            yield _parse_block(name, line, block, schema).cast(schema)


def _read_blocks(name: str, open_file: Callable[[], BinaryIO], encoding: str) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about _BLOCK bytes at a time, each with the number of its first line."""
    line, rest, empty = 1, b"", True
    with Utf8Stream(name, open_file, encoding) as text:
        while True:
            block = text.read(_BLOCK)
            whole, end, after = (rest + block).rpartition(b"\n") if block else (rest, b"", b"")
            if len(after) > _BLOCK:
                raise SourceUnreadable(
                    f"{name}: line {line + whole.count(bytes((10,)))} has more than {_BLOCK >> 20} MB",
                    hint="give JSON lines: one object per line, not one array",
                )
            if whole.strip():
                empty = False
                yield line, whole
            line += (whole + end).count(b"\n")
            rest = after
            if not block:
                break
    if empty:
        raise SourceUnreadable(f"{name} is empty", hint="give a file with one JSON object per line")


def _split_block(line: int, block: bytes, most_lines: int, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """A block of whole lines in pieces of so many lines and bytes, or of one line where that is longer."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    if not len(ends) or ends[-1] < len(block):
        ends = np.append(ends, len(block))
    first = start = 0
    while first < len(ends):
        after = min(first + most_lines, int(ends.searchsorted(start + most_bytes, side="right")))
        after = max(after, first + 1)
        piece = block[start : ends[after - 1]]
        if piece.strip():
            yield line + first, piece
        first, start = after, int(ends[after - 1])


def _count_leaves(kind: Any) -> int:
    """How many columns of plain values a schema or a type has."""
    if isinstance(kind, pa.Schema):
        return sum(_count_leaves(field.type) for field in kind)
    if pa.types.is_struct(kind):
        return max(sum(_count_leaves(kind.field(n).type) for n in range(kind.num_fields)), 1)
    return _count_leaves(kind.value_type) if pa.types.is_list(kind) else 1


def _parse_block(name: str, line: int, block: bytes, schema: pa.Schema | None) -> pa.Table:
    try:
        return pyarrow.json.read_json(
            io.BytesIO(block),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="infer"
            ),
        )
    except pa.ArrowException as error:
        reason = str(error).partition("\n")[0].removeprefix("JSON parse error: ")[:300]
        row = _ROW.search(reason)
        at = line + _find_line_offset(block, int(row[1])) if row else line
        reason = _ROW.sub("", reason)
        array = block.lstrip().startswith(b"[")
        raise SourceUnreadable(
            f"{name} is not sound JSON lines: line {at}: {reason}",
            hint="write one object per line instead of one array"
            if array
            else "write one object per line, and values of one kind under each name",
        ) from error


def _find_line_offset(block: bytes, row: int) -> int:
    """How many lines into the block its `row`th line (from 0) that is not blank stands."""
    rows = [number for number, line in enumerate(block.split(b"\n")) if line.strip()]
    return rows[row] if row < len(rows) else 0


def _to_plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, _to_plain_type(field.type)) for field in schema])


def _to_plain_type(kind: pa.DataType) -> Any:
    """Arrow takes texts that look like times for times, and forgets their zones."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct(
            [(kind.field(i).name, _to_plain_type(kind.field(i).type)) for i in range(kind.num_fields)]
        )
    if pa.types.is_list(kind):
        return pa.list_(_to_plain_type(kind.value_type))
    return kind


def _build_type_conflict_error(name: str, line: int, before: pa.Schema, now: pa.Schema) -> SourceUnreadable:
    for field in now:
        index = before.get_field_index(field.name)
        if index >= 0:
            try:
                pa.unify_schemas(
                    [pa.schema([before.field(index)]), pa.schema([field])], promote_options="permissive"
                )
            except pa.ArrowException:
                return SourceUnreadable(
                    f"{name} holds {before.field(index).type} values under {field.name!r} at first,"
                    f" and {field.type} values from about line {line} on",
                    hint="write values of one kind under each name",
                )
    return SourceUnreadable(f"{name} changes its members' kinds about line {line}", hint="write one kind")
