"""The rows of a service's prediction log, counted: for /metadata and /metrics."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

COUNTS_NAME = "shipped.json"


class LogCounts(TypedDict):
    """The rows of the prediction log since the process started: predictions, outcomes and refused counts.

    `accepted` were answered by this process, `adopted` taken over from processes that have ended. Of both,
    `spooled` are on disk, `written` are in MariaDB, `refused` were refused by it and are kept in a file,
    `dropped` were deleted because the spool was full, and `spoilt_rows` were in bytes that are no records any
    more. Each of them is counted by itself: where accepted + adopted is not their sum, rows were lost.

    `spoilt` runs of bytes were set aside, among them what a killed process had not written whole.
    `spool_bytes` are on disk; the oldest segment has been there for `spool_age_seconds`. `trouble` is why no
    rows reach MariaDB at present, or "".
    """

    accepted: int
    adopted: int
    spooled: int
    written: int
    refused: int
    dropped: int
    spoilt_rows: int
    spoilt: int
    spool_bytes: int
    spool_age_seconds: float
    trouble: str


@dataclass(frozen=True)
class ShippedCounts:
    """What has left a folder's spool, in rows, up to the segment with the number `segment`.

    `written` to MariaDB; `refused` by it, and kept in a file; `spoilt_rows` that were written to segments and
    could not be read again; `adopted` from folders of processes that have ended, contained in the others;
    `spoilt` runs of bytes that were no records. `trouble` is why MariaDB takes none at present, or "".
    """

    segment: int = 0
    written: int = 0
    refused: int = 0
    adopted: int = 0
    spoilt: int = 0
    trouble: str = ""
    spoilt_rows: int = 0


def read_counts(folder: Path) -> ShippedCounts:
    """The counts of a folder, from zero where nothing has left it.

    A record without `spoilt_rows` is of an earlier version, which did not see segments whose names hold their
    rows: those before its `segment` may not be delivered yet, so `segment` is 0. Inserting a row again
    changes nothing.
    """
    try:
        fields = json.loads((folder / COUNTS_NAME).read_text(encoding="utf-8"))
        counts = ShippedCounts(**fields)
    except (OSError, ValueError, TypeError):
        return ShippedCounts()
    return counts if "spoilt_rows" in fields else replace(counts, segment=0)
