"""The rows of a file in batches, whatever its format: CSV, JSON lines or Parquet, declared or detected."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from typing import BinaryIO

import pyarrow as pa

from evergreen.errors import SettingsError, SourceUnreadable
from evergreen.sources.files import csv_file, json_lines, parquet
from evergreen.sources.files.compression import build_opener, strip_compression_suffix
from evergreen.sources.files.places import Content
from evergreen.usecase import FileSource

_PARQUET = (".parquet", ".pq")
_PARQUET_MAGIC = b"PAR1"
_JSON_LINES = (".jsonl", ".ndjson", ".json")
_HEAD = 1 << 16


def read_file_batches(
    content: Content, source: FileSource, batch_rows: int, batch_bytes: int
) -> Generator[pa.Table, None, None]:
    """The rows of a file as batches with its columns; the first batch has no rows.

    Format, compression, encoding and delimiter are detected where the source does not declare them.
    `batch_rows` and `batch_bytes` limit batches of Parquet. Raises SourceUnreadable for content that is
    empty, broken, of another format than its name says, or changed while it was read; SettingsError for an
    unknown format, compression, encoding or delimiter in the declaration.
    """
    if content.size == 0:
        raise SourceUnreadable(f"{content.name} is empty", hint="give a file with a header line and rows")
    open_file = build_opener(content, source.compression)
    kind = _get_declared_format(source, content) or _detect_format(content.name, open_file)
    if kind == "parquet":
        yield from parquet.read_batches(content.name, open_file, batch_rows, batch_bytes)
    elif kind == "jsonl":
        yield from json_lines.read_batches(content.name, open_file, source.encoding)
    else:
        yield from csv_file.read_batches(content.name, open_file, source.delimiter, source.encoding)
    content.check_unchanged()


def _get_declared_format(source: FileSource, content: Content) -> str:
    """The declared format, "" for "auto". Raises SettingsError for an unknown one."""
    if source.format not in ("auto", "csv", "parquet", "jsonl"):
        raise SettingsError(
            f"the source {content.name} declares the format {source.format!r}",
            hint='write "csv", "parquet", "jsonl" or "auto"',
        )
    return "" if source.format == "auto" else source.format


def _detect_format(name: str, open_file: Callable[[], BinaryIO]) -> str:
    """The format by the file's first bytes and its name. Raises SourceUnreadable for an HTML page."""
    with open_file() as stream:
        head = stream.read(_HEAD)
    inner = strip_compression_suffix(name.partition("?")[0])
    if head.startswith(_PARQUET_MAGIC) or inner.endswith(_PARQUET):
        return "parquet"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise SourceUnreadable(
            f"{name} is a web page, not a table", hint="give the address of the file itself"
        )
    if inner.endswith(_JSON_LINES) or (start.startswith(b"{") and _is_object(start)):
        return "jsonl"
    return "csv"


def _is_object(start: bytes) -> bool:
    """Whether the first line is a JSON object."""
    try:
        return isinstance(json.loads(start.partition(b"\n")[0]), dict)
    except ValueError:
        return False
