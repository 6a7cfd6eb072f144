"""Rows of a JSON lines file (one JSON object per line) in batches, in bounded memory."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.json

from evergreen.errors import SourceUnreadable
from evergreen.sources.files.column_names import build_too_many_columns_error
from evergreen.sources.files.text import Utf8Stream

_BLOCK = 8 << 20
# Arrow makes a column for each member's name, with a place for it in every row: 10,000 lines with a different
# member each, 100 kB, would take more than a gigabyte. Hence these limits: the bytes and lines that are
# looked at together to find the members, ...
_LOOK_BYTES = 1 << 16
_LOOK_LINES = 512
# ... the values that are read together, and the number of members of a file.
_MAX_VALUES = 1 << 21
_MAX_MEMBERS = 5_000
_MEMBER = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:')
_ROW = re.compile(r" in row (\d+)\Z")


def read_batches(
    name: str, open_file: Callable[[], BinaryIO], encoding: str = ""
) -> Generator[pa.Table, None, None]:
    """The rows of a file, each the object of one line, as batches; the first batch has no rows.

    The file is read twice, because a member may appear for the first time in the last line, and a column of
    whole numbers may have a fraction later. Numbers are int64 or float64, texts (dates too) are strings,
    objects and lists keep their shape; a member that is absent is null.

    Raises SourceUnreadable, with the line, for a line that is no object or has a member twice, for values of
    two kinds under one name, and for too many members.
    """
    schema = pa.schema([])
    for start, lines_of_block in _read_blocks(name, open_file, encoding):
        for line, block in _split_block(start, lines_of_block, _LOOK_LINES, _LOOK_BYTES):
            if block.count(b'":') > _MAX_MEMBERS and len(set(_MEMBER.findall(block))) > _MAX_MEMBERS:
                raise build_too_many_columns_error(f"{name}: line {line}", _MAX_MEMBERS)
            block_schema = _to_plain_schema(_parse_block(name, line, block, None).schema)
            if block_schema == schema:
                continue
            try:
                schema = pa.unify_schemas([schema, block_schema], promote_options="permissive")
            except pa.ArrowException as error:
                raise _build_type_conflict_error(name, line, schema, block_schema) from error
            if _count_leaves(schema) > _MAX_MEMBERS:
                raise build_too_many_columns_error(f"{name} up to line {line}", _MAX_MEMBERS)
    yield schema.empty_table()
    lines = max(_MAX_VALUES // max(_count_leaves(schema), 1), 1)
    for start, lines_of_block in _read_blocks(name, open_file, encoding):
        for line, block in _split_block(start, lines_of_block, lines, _BLOCK):
            yield _parse_block(name, line, block, schema).cast(schema)


def _read_blocks(name: str, open_file: Callable[[], BinaryIO], encoding: str) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole lines, of about _BLOCK bytes, each with the number of its first line."""
    line, rest, empty = 1, b"", True
    with Utf8Stream(name, open_file, encoding) as text:
        while True:
            block = text.read(_BLOCK)
            complete_lines, end, incomplete_line = (
                (rest + block).rpartition(b"\n") if block else (rest, b"", b"")
            )
            if len(incomplete_line) > _BLOCK:
                long_line = line + complete_lines.count(b"\n")
                raise SourceUnreadable(
                    f"{name}: line {long_line} has more than {_BLOCK >> 20} MB",
                    hint="give JSON lines: one object per line, not one array",
                )
            if complete_lines.strip():
                empty = False
                yield line, complete_lines
            line += (complete_lines + end).count(b"\n")
            rest = incomplete_line
            if not block:
                break
    if empty:
        raise SourceUnreadable(f"{name} is empty", hint="give a file with one JSON object per line")


def _split_block(line: int, block: bytes, max_lines: int, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """A block of whole lines that begins at line `line`, in pieces of at most so many lines and bytes, each
    with the number of its first line. A line that is longer is a piece of its own."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + 1
    if not len(ends) or ends[-1] < len(block):
        ends = np.append(ends, len(block))
    first_line = start = 0
    while first_line < len(ends):
        next_line = min(first_line + max_lines, int(ends.searchsorted(start + max_bytes, side="right")))
        next_line = max(next_line, first_line + 1)
        piece = block[start : ends[next_line - 1]]
        if piece.strip():
            yield line + first_line, piece
        first_line, start = next_line, int(ends[next_line - 1])


def _count_leaves(kind: pa.Schema | pa.DataType) -> int:
    """How many columns of plain values a schema or a type has, counting the members of objects."""
    if isinstance(kind, pa.Schema):
        return sum(_count_leaves(field.type) for field in kind)
    if pa.types.is_struct(kind):
        return max(sum(_count_leaves(kind.field(n).type) for n in range(kind.num_fields)), 1)
    return _count_leaves(kind.value_type) if pa.types.is_list(kind) else 1


def _parse_block(name: str, line: int, block: bytes, schema: pa.Schema | None) -> pa.Table:
    """A block that begins at line `line` as a table; without a schema types are inferred."""
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
        error_line = line + _find_line_offset(block, int(row[1])) if row else line
        reason = _ROW.sub("", reason)
        is_array = block.lstrip().startswith(b"[")
        raise SourceUnreadable(
            f"{name} is not sound JSON lines: line {error_line}: {reason}",
            hint="write one object per line instead of one array"
            if is_array
            else "write one object per line, and values of one kind under each name",
        ) from error


def _find_line_offset(block: bytes, row: int) -> int:
    """The index in the block of its line number `row` (from 0), blank lines not counted."""
    rows = [number for number, line in enumerate(block.split(b"\n")) if line.strip()]
    return rows[row] if row < len(rows) else 0


def _to_plain_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, _to_plain_type(field.type)) for field in schema])


def _to_plain_type(kind: pa.DataType) -> pa.DataType:
    """The type with strings in place of timestamps: Arrow infers these from texts that look like times, and
    loses their time zones."""
    if pa.types.is_timestamp(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct(
            [(kind.field(i).name, _to_plain_type(kind.field(i).type)) for i in range(kind.num_fields)]
        )
    if pa.types.is_list(kind):
        return pa.list_(_to_plain_type(kind.value_type))
    return kind


def _build_type_conflict_error(
    name: str, line: int, schema: pa.Schema, block_schema: pa.Schema
) -> SourceUnreadable:
    """The error for a block at line `line` whose types do not fit those of the lines before, `schema`."""
    for field in block_schema:
        index = schema.get_field_index(field.name)
        if index >= 0:
            try:
                pa.unify_schemas(
                    [pa.schema([schema.field(index)]), pa.schema([field])], promote_options="permissive"
                )
            except pa.ArrowException:
                return SourceUnreadable(
                    f"{name} holds {schema.field(index).type} values under {field.name!r} at first,"
                    f" and {field.type} values from about line {line} on",
                    hint="write values of one kind under each name",
                )
    return SourceUnreadable(f"{name} changes its members' kinds about line {line}", hint="write one kind")
