"""The files of the spool: a segment is a sequence of records, each with its length and checksum.

A segment begins with its schema (see `record.py`). The process that writes it appends to `NUMBER.open` and
renames it to `NUMBER-ROWS.segment` when it begins the next, so a reader only sees files that no longer
change. The shipper renames it to `NUMBER-ROWS.shipping` to take it. The rows are in the name because those of
a spoilt record could not be counted otherwise; where a process was killed, or an earlier version wrote the
segment, the name is `NUMBER` alone.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from evergreen.errors import SpoiltRecord
from evergreen.serving.predictions.record import (
    PredictionRecord,
    Record,
    RefusedRecord,
    SegmentSchema,
    decode_record,
    decode_schema,
)

OPEN_SUFFIX = ".open"
FINISHED_SUFFIX = ".segment"
TAKEN_SUFFIX = ".shipping"
# What the policy of a full spool is about to delete.
DROPPED_SUFFIX = ".dropped"

# Where a record begins, its length in bytes, and the CRC-32 of these bytes.
_MARK = b"EGR1"
_HEAD = struct.Struct("<4sII")
_NAME = re.compile(r"(\d+)(?:-(\d+))?\.[a-z]+", re.ASCII)


@dataclass
class Segment:
    """The content of a segment: its schema (None where that is spoilt), and its records.

    `spoilt` holds the runs of bytes that are no record as it was written. `torn` is the last such run where
    it reaches the end of the file: so a killed process leaves a record that it was writing, and for which
    nobody has got an answer. Where the schema is spoilt, `torn` is the whole file, because nobody can tell
    what its predictions' values are; `records` then are those that need no schema.
    """

    schema: SegmentSchema | None = None
    records: list[Record] = field(default_factory=list)
    spoilt: list[bytes] = field(default_factory=list)
    torn: bytes = b""


def frame_records(payloads: Iterable[bytes]) -> bytes:
    """Records as bytes of a segment."""
    return b"".join(_HEAD.pack(_MARK, len(payload), zlib.crc32(payload)) + payload for payload in payloads)


def format_segment_name(number: int, suffix: str, rows: int | None = None) -> str:
    """The name of a segment's file, with its rows once it is finished; names sort as the numbers do."""
    return f"{number:010d}{suffix}" if rows is None else f"{number:010d}-{rows}{suffix}"


def parse_segment_name(name: str) -> tuple[int, int | None] | None:
    """The number and the rows in the name of a segment's file, whatever its suffix; the rows are None where
    the name does not say them. None for the name of another file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    number, rows = match.groups()
    return int(number), None if rows is None else int(rows)


def parse_segment_number(path: Path) -> int:
    """The number in a segment's file name. Raises ValueError for another file's."""
    return _parse_segment_path(path)[0]


def parse_segment_rows(path: Path) -> int | None:
    """How many rows were written to a segment; None where its name does not say so. Raises ValueError for
    another file's name."""
    return _parse_segment_path(path)[1]


def list_segments(folder: Path, suffix: str = FINISHED_SUFFIX) -> list[Path]:
    """The segments of a folder, oldest first."""
    return [folder / name for name in sorted(_list_names(folder, suffix)) if parse_segment_name(name)]


def list_segment_numbers(folder: Path) -> set[int]:
    """The numbers of the segments of a folder: open, finished and taken."""
    # In the order in which a segment is renamed, so that none is missed.
    suffixes = (OPEN_SUFFIX, FINISHED_SUFFIX, TAKEN_SUFFIX)
    parsed = (parse_segment_name(name) for suffix in suffixes for name in _list_names(folder, suffix))
    return {name[0] for name in parsed if name is not None}


def delete_segment(path: Path) -> bool:
    """Delete a finished segment; False where a shipper, or another process, was faster. Raises OSError."""
    # The shipper takes a segment by renaming it as well, so one of both gets it.
    dropped = path.with_suffix(DROPPED_SUFFIX)
    try:
        path.rename(dropped)
    except FileNotFoundError:
        return False
    dropped.unlink(missing_ok=True)  # who removes the folder may be faster
    return True


def count_segment_rows(path: Path) -> int:
    """How many rows a segment has: by its name, else those that can be read. Raises OSError."""
    rows = parse_segment_rows(path)
    if rows is not None:
        return rows
    return sum(
        len(record.counts) if isinstance(record, RefusedRecord) else len(record.ids)
        for record in read_segment(path).records
    )


def read_segment(path: Path) -> Segment:
    """Read a segment. What is spoilt is set aside in the result, and raises nothing. Raises OSError."""
    data = path.read_bytes()
    segment = Segment()
    position = 0
    while position < len(data):
        payload = _find_payload(data, position)
        if payload is not None and _take_payload(segment, payload, is_first=position == 0):
            position += _HEAD.size + len(payload)
            continue
        # The next record may be found behind bytes that are none.
        end = data.find(_MARK, position + 1)
        while end >= 0 and _find_payload(data, end) is None:
            end = data.find(_MARK, end + 1)
        if end < 0:
            segment.torn = data[position:]
            break
        segment.spoilt.append(data[position:end])
        position = end
    if segment.schema is None:
        readable: list[Record] = [
            record for record in segment.records if not isinstance(record, PredictionRecord)
        ]
        return Segment(None, readable, torn=data)
    return segment


def _list_names(folder: Path, suffix: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:  # many times faster than `glob`, and there may be thousands
            return [entry.name for entry in entries if entry.name.endswith(suffix)]
    except FileNotFoundError:
        return []


def _parse_segment_path(path: Path) -> tuple[int, int | None]:
    parsed = parse_segment_name(path.name)
    if parsed is None:
        raise ValueError(f"{path} is no segment")
    return parsed


def _find_payload(data: bytes, position: int) -> bytes | None:
    """The bytes of the record that begins at a position; None where no whole record does."""
    head = data[position : position + _HEAD.size]
    if len(head) < _HEAD.size:
        return None
    mark, length, checksum = _HEAD.unpack(head)
    start = position + _HEAD.size
    payload = data[start : start + length]
    if mark != _MARK or len(payload) < length or zlib.crc32(payload) != checksum:
        return None
    return payload


def _take_payload(segment: Segment, payload: bytes, *, is_first: bool) -> bool:
    """Add a record or the schema to the segment. False for bytes that are neither, though their checksum is
    right: a later version wrote them."""
    try:
        if is_first:
            segment.schema = decode_schema(payload)
        else:
            segment.records.append(decode_record(payload))
    except SpoiltRecord:
        return False
    return True
