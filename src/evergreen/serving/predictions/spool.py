"""Prediction rows on disk on their way to MariaDB: JSON lines in files of limited size, the segments.

Each service process has a folder of its own and holds a lock on it. A folder whose lock is free belongs to a
process that has ended: the next one to start takes its rows over. So no row waits forever, and two processes
never insert the same rows.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from evergreen.private import make_private_folder, open_private_file
from evergreen.store.predictions.prediction_row import PredictionRow

logger = logging.getLogger(__name__)


class PredictionSpool:
    """Rows of one use case on disk under `home`. Not thread-safe: the log's writer thread owns it.

    Segments hold `segment_rows` rows or a few more, so that after a long outage they are inserted piece by
    piece and new predictions in between.
    """

    def __init__(self, home: Path, use_case: str, *, segment_rows: int = 2000) -> None:
        self._home = home
        self._use_case = use_case
        self._segment_rows = segment_rows
        self._locks: list[tuple[Path, IO[str]]] = []
        self._segments: list[tuple[Path, int]] = []
        self._own: Path | None = None
        self._segment_count = 0
        self.rows = 0

    def create_sibling(self) -> PredictionSpool:
        """An empty spool of the same use case, with a folder of its own."""
        return PredictionSpool(self._home, self._use_case, segment_rows=self._segment_rows)

    def adopt(self) -> int:
        """Take over the rows of processes that have ended; returns their number."""
        for folder in sorted(self._home.glob(f"{self._use_case}-*/")):
            if self._lock_folder(folder):
                for segment in sorted(folder.glob("*.jsonl")):
                    self._segments.append((segment, sum(1 for _ in _read_rows(segment))))
        self.rows = sum(rows for _, rows in self._segments)
        return self.rows

    def _lock_folder(self, folder: Path) -> bool:
        """Lock a folder until `close`; False when another process holds it."""
        handle = (folder / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()
            return False
        self._locks.append((folder, handle))
        return True

    def append(self, rows: Sequence[PredictionRow]) -> None:
        """Add rows and wait until the disk has them. Raises OSError when it cannot."""
        if not rows:
            return
        text = "".join(f"{json.dumps(row.to_json())}\n" for row in rows)
        path, rows_before = self._open_segment()
        handle = open_private_file(path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(handle, "a", encoding="utf-8") as segment:
            size = segment.tell()
            try:
                segment.write(text)
                segment.flush()
                os.fsync(segment.fileno())
            except OSError:
                # A full disk may hold half a line, to which the next line must not be appended.
                os.ftruncate(segment.fileno(), size)
                raise
        self._segments[-1] = (path, rows_before + len(rows))
        self.rows += len(rows)

    def _open_segment(self) -> tuple[Path, int]:
        """The segment to append to, and the rows it has; a new one where the last is full or not our own."""
        if self._own is None:
            # The rows are customers' data: nobody else may read them.
            own = self._home / f"{self._use_case}-{uuid.uuid4().hex}"
            make_private_folder(own)
            self._lock_folder(own)
            self._own = own
        if (
            not self._segments
            or self._segments[-1][1] >= self._segment_rows
            or self._segments[-1][0].parent != self._own
        ):
            self._segments.append((self._own / f"{self._segment_count:08d}.jsonl", 0))
            self._segment_count += 1
        return self._segments[-1]

    def read_oldest(self) -> list[PredictionRow]:
        """The rows of the oldest segment; none when nothing waits."""
        return list(_read_rows(self._segments[0][0])) if self._segments else []

    def drop_oldest(self) -> None:
        """Delete the oldest segment, whose rows are in MariaDB."""
        path, rows = self._segments.pop(0)
        path.unlink(missing_ok=True)
        self.rows -= rows

    def close(self) -> None:
        """Free the folders' locks, so that another process can take over their rows; delete empty ones."""
        occupied = {segment.parent for segment, _ in self._segments}
        for folder, handle in self._locks:
            if folder not in occupied:
                shutil.rmtree(folder, ignore_errors=True)
            handle.close()
        self._locks.clear()
        self._segments.clear()
        self._own = None


def _read_rows(path: Path) -> Iterator[PredictionRow]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                document = json.loads(line)
            except json.JSONDecodeError:
                # Only the last line can be torn, by a kill in the middle of `append`.
                logger.warning("%s, line %d is incomplete and skipped", path, number)
                continue
            yield PredictionRow.from_json(document)
