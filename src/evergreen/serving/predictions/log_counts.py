"""The rows of a service's prediction log, counted: for /metadata and /metrics."""

from __future__ import annotations

from typing import TypedDict


class LogCounts(TypedDict):
    """The rows of the prediction log since the process started: predictions, outcomes and refused counts.

    `accepted` were answered by this process, `adopted` taken over from processes that have ended. Of both,
    `spooled` are on disk, `written` are in MariaDB, `refused` were refused by it and are kept in a file, and
    `dropped` were deleted because the spool was full. `spoilt` runs of bytes were set aside. `spool_bytes`
    are on disk. `trouble` is why no rows reach MariaDB at present, or "".
    """

    accepted: int
    adopted: int
    spooled: int
    written: int
    refused: int
    dropped: int
    spoilt: int
    spool_bytes: int
    trouble: str
