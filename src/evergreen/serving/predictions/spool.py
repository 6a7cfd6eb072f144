"""Where prediction rows wait on disk while MariaDB is away: JSON lines in small segments.

Each service process has a folder of its own, held by a lock. What a former process left behind is found at
the next start by its free lock, so nothing waits forever and two replicas never replay the same rows.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from evergreen.private import make_private_folder, open_private_file

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]


class PredictionSpool:
    """Rows of one use case on disk under `home`. Not thread-safe: the log's writer thread owns it.

    Segments hold `segment_rows` rows or a few more, so that a long outage is replayed piece by piece and new
    predictions get their turn in between.
    """

    def __init__(self, home: Path, use_case: str, *, segment_rows: int = 2000) -> None:
        self._home = home
        self._use_case = use_case
        self._segment_rows = segment_rows
        self._locks: list[tuple[Path, IO[str]]] = []
        self._segments: list[tuple[Path, int]] = []
        self._own: Path | None = None
        self._made = 0
        self.rows = 0

    def sibling(self) -> PredictionSpool:
        """An empty spill for the same use case, in a folder of its own."""
        return PredictionSpool(self._home, self._use_case, segment_rows=self._segment_rows)

    def adopt(self) -> int:
        """Take over what former processes left; returns the number of rows."""
        for folder in sorted(self._home.glob(f"{self._use_case}-*/")):
            if self._hold(folder):
                for segment in sorted(folder.glob("*.jsonl")):
                    self._segments.append((segment, sum(1 for _ in _read_rows(segment))))
        self.rows = sum(rows for _, rows in self._segments)
        return self.rows

    def _hold(self, folder: Path) -> bool:
        handle = (folder / "lock").open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.close()  # another live process works with it
            return False
        self._locks.append((folder, handle))
        return True

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows and wait until the disk has them. Raises OSError when it cannot."""
        if not rows:
            return
        text = "".join(f"{json.dumps(dict(row), default=_encode_value)}\n" for row in rows)
        path, held = self._open_segment()
        handle = open_private_file(path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(handle, "a", encoding="utf-8") as segment:
            size = segment.tell()
            try:
                segment.write(text)
                segment.flush()
                os.fsync(segment.fileno())
            except OSError:
                # A full disk may have taken half a line, which the next one must not be glued to.
                os.ftruncate(segment.fileno(), size)
                raise
        self._segments[-1] = (path, held + len(rows))
        self.rows += len(rows)

    def _open_segment(self) -> tuple[Path, int]:
        if self._own is None:
            # The rows are customers' data: nobody else may read them.
            own = self._home / f"{self._use_case}-{uuid.uuid4().hex}"
            make_private_folder(own)
            self._hold(own)
            self._own = own
        if (
            not self._segments
            or self._segments[-1][1] >= self._segment_rows
            or self._segments[-1][0].parent != self._own
        ):
            self._segments.append((self._own / f"{self._made:08d}.jsonl", 0))
            self._made += 1
        return self._segments[-1]

    def oldest(self) -> list[Row]:
        """The rows of the oldest segment; none when nothing waits."""
        return list(_read_rows(self._segments[0][0])) if self._segments else []

    def drop_oldest(self) -> None:
        """Forget the oldest segment: MariaDB has its rows."""
        path, rows = self._segments.pop(0)
        path.unlink(missing_ok=True)
        self.rows -= rows

    def close(self) -> None:
        """Let go of the folders, so that the next process can adopt what still waits in them."""
        waiting = {segment.parent for segment, _ in self._segments}
        for folder, handle in self._locks:
            if folder not in waiting:
                shutil.rmtree(folder, ignore_errors=True)
            handle.close()
        self._locks.clear()
        self._segments.clear()
        self._own = None


def _read_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                # Only the last line can be torn, by a kill in the middle of `append`.
                logger.warning("%s, line %d is incomplete and skipped", path, number)
                continue
            yield {**row, "predicted_at": datetime.fromisoformat(row["predicted_at"])}


def _encode_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a prediction row cannot hold {type(value).__name__}")
