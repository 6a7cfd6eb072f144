"""The spool: predictions on local disk, written before they are answered, on their way to MariaDB.

Each worker process of a service has a folder of its own under the home, and holds a lock on it. The lock is
inherited by its shipper (`shipper.py`), which inserts finished segments into MariaDB and deletes them. A
folder whose lock is free belongs to processes that have ended: another shipper takes its segments over. So
no row waits forever, and no two processes insert the same segment.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from evergreen.errors import PredictionLogFull
from evergreen.private import make_private_folder, open_private_file
from evergreen.serving.predictions.record import SegmentSchema, build_segment_schema, encode_record
from evergreen.serving.predictions.segments import (
    DROPPED_SUFFIX,
    FINISHED_SUFFIX,
    OPEN_SUFFIX,
    TAKEN_SUFFIX,
    format_segment_name,
    frame_records,
    list_segments,
)
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

LOCK_NAME = "lock"

Durability = Literal["process", "power"]
FullPolicy = Literal["refuse", "drop_oldest"]

# A segment that nobody ships yet may grow to this size; otherwise it is finished sooner, by `finish_segment`.
_SEGMENT_BYTES = 8 * 1024 * 1024
_TELL_SECONDS = 10.0


def lock_folder(folder: Path) -> int | None:
    """Lock a spool's folder; the descriptor that holds the lock until it is closed, also in a child that
    inherits it. None when another process holds it.

    Raises FileNotFoundError for a folder that another process has just removed, and OSError, also where the
    file system has no locks.
    """
    path = folder / LOCK_NAME
    handle = open_private_file(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.stat()  # who removes a folder holds its lock until then
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    return handle


class Spool:
    """Appends records to the segments of one process. Thread-safe.

    `durability`: "process" survives the end of every process, because the system has the bytes before
    `append` returns; "power" also survives the machine's, because the disk has them. At `limit_bytes` on disk
    `append` raises, or with `full_policy` "drop_oldest" deletes the oldest segments that are not being
    shipped.

    Counters in rows: `accepted` by `append`, `dropped` by the policy.
    """

    def __init__(
        self,
        home: Path,
        schema: SegmentSchema,
        *,
        durability: Durability = "process",
        limit_bytes: int = 2 * 1024**3,
        full_policy: FullPolicy = "refuse",
    ) -> None:
        self.folder = home / f"{schema.use_case}-{uuid.uuid4().hex}"
        self.lock = _make_locked_folder(self.folder)
        if durability == "power":
            _sync_folder(home)
        self._schema = frame_records([encode_record(schema)])
        self._durability = durability
        self._limit_bytes = limit_bytes
        self._full_policy = full_policy
        self._mutex = threading.Lock()
        self._handle = -1
        self._is_closed = False
        self._number = 0
        self._size = 0  # of the open segment
        self._other_bytes = 0  # of finished segments, as of the last `measure`
        self._finished_rows: dict[Path, int] = {}
        self._open_rows = 0
        self._has_rows = threading.Event()
        self._tell_at = 0.0
        self.accepted = 0
        self.dropped = 0

    def append(self, records: Sequence[bytes], rows: int) -> None:
        """Write encoded records of that many rows, all or none; they are durable when it returns.

        Raises PredictionLogFull when the spool has its greatest size, the disk takes no more, or the spool is
        closed. Its message is for the caller of the service; the log names the folder.
        """
        data = frame_records(records)
        with self._mutex:
            if self._is_closed:
                # The shipper delivers the rest, and would miss what comes now.
                raise PredictionLogFull(
                    "the service is ending and logs nothing more", hint="send the request again"
                )
            self._make_room(len(data) + (len(self._schema) if self._handle < 0 else 0))
            try:
                if self._handle < 0:
                    self._open_segment()
                self._write(data)
            except OSError as error:
                self._tell("the spool %s cannot be written: %s", self.folder, error)
                raise PredictionLogFull(
                    f"the prediction log cannot be written: {error.strerror or error}",
                    hint="send again later; the service's log names the folder whose disk needs room",
                ) from error
            self._open_rows += rows
            self.accepted += rows
            is_full = self._size >= _SEGMENT_BYTES
        if is_full:
            try:
                self.finish_segment()
            except OSError:
                logger.exception("a segment of the spool is not finished yet; its rows are on disk")

    def finish_segment(self) -> bool:
        """Hand the open segment over to the shipper; False when it holds nothing. Raises OSError, and then
        the segment stays open."""
        with self._mutex:
            if self._handle < 0:
                return False
            path = self.folder / format_segment_name(self._number, FINISHED_SUFFIX)
            path.with_suffix(OPEN_SUFFIX).rename(path)
            handle, self._handle = self._handle, -1
            self._other_bytes += self._size
            self._finished_rows[path] = self._open_rows
            self._open_rows = self._size = 0
            self._has_rows.clear()
            os.close(handle)
            return True

    def wait_for_rows(self, timeout: float) -> bool:
        """Wait until the open segment holds something: whether it does, within `timeout` seconds."""
        return self._has_rows.wait(timeout)

    def measure(self) -> int:
        """The bytes of all segments on disk; shipped ones count no more."""
        total = 0
        waiting = set()
        for suffix in (FINISHED_SUFFIX, TAKEN_SUFFIX):
            for path in list_segments(self.folder, suffix):
                with suppress(FileNotFoundError):  # shipped meanwhile
                    total += path.stat().st_size
                    waiting.add(path)
        with self._mutex:
            self._other_bytes = total
            for path in self._finished_rows.keys() - waiting:
                del self._finished_rows[path]
            return total + self._size

    def close(self) -> None:
        """Finish the last segment; nothing can be appended any more. The folder's lock stays with the
        shipper, if it has inherited it. Raises OSError."""
        with self._mutex:
            self._is_closed = True
        try:
            self.finish_segment()
        finally:
            os.close(self.lock)

    def _make_room(self, size: int) -> None:
        while self._other_bytes + self._size + size > self._limit_bytes:
            if self._full_policy == "drop_oldest" and self._drop_oldest():
                continue
            self._tell("the spool %s has its greatest size: predictions are refused", self.folder)
            raise PredictionLogFull(
                f"the prediction log has its greatest size: {self._limit_bytes:,} bytes wait for MariaDB",
                hint="send again later; `evergreen status` says why MariaDB takes none",
            )

    def _drop_oldest(self) -> bool:
        """Delete the oldest segment that the shipper has not taken; False when there is none."""
        for path in list_segments(self.folder):
            # The shipper takes a segment by renaming it as well, so one of both gets it.
            dropped = path.with_suffix(DROPPED_SUFFIX)
            try:
                path.rename(dropped)
                size = dropped.stat().st_size
                dropped.unlink()
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                continue
            rows = self._finished_rows.pop(path, 0)
            self._other_bytes -= size
            self.dropped += rows
            self._tell("the spool is full: %d predictions have been dropped, the oldest first", self.dropped)
            return True
        return False

    def _tell(self, text: str, *values: object) -> None:
        """Log what needs a person, not more often than every ten seconds."""
        now = time.monotonic()
        if now >= self._tell_at:
            self._tell_at = now + _TELL_SECONDS
            logger.critical(text, *values)

    def _open_segment(self) -> None:
        """Begin the next segment with its schema, or leave nothing behind. Raises OSError."""
        self._number += 1
        path = self.folder / format_segment_name(self._number, OPEN_SUFFIX)
        self._handle = open_private_file(path, os.O_WRONLY | os.O_APPEND)
        self._size = 0
        try:
            self._write(self._schema)
            if self._durability == "power":
                _sync_folder(self.folder)
        except OSError:
            # Records without a schema in front of them could not be read.
            handle, self._handle = self._handle, -1
            self._size = 0
            path.unlink(missing_ok=True)
            os.close(handle)
            raise
        self._has_rows.set()

    def _write(self, data: bytes) -> None:
        """Append to the open segment, or leave it as it was. Raises OSError."""
        try:
            written = os.write(self._handle, data)
            while written < len(data):
                written += os.write(self._handle, data[written:])
            if self._durability == "power":
                os.fdatasync(self._handle)
        except OSError:
            # A full disk may hold half a record, to which the next one must not be appended.
            os.ftruncate(self._handle, self._size)
            raise
        self._size += len(data)


def _make_locked_folder(folder: Path) -> int:
    """Make a folder that is locked from the first moment at which others see it; the lock's descriptor.

    Shippers look for folders by their names, and take over those that nobody holds.
    """
    draft = folder.with_name(f".{folder.name}")
    make_private_folder(draft)
    lock = lock_folder(draft)
    assert lock is not None, "nobody else knows the folder"
    draft.rename(folder)
    return lock


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def build_spool(home: Path, use_case: UseCase) -> Spool:
    """A spool under `home` with the declared durability and limits."""
    serving = use_case.serving
    return Spool(
        home,
        build_segment_schema(use_case),
        durability=serving.durability,
        limit_bytes=serving.spool_mb * 10**6,
        full_policy=serving.spool_full,
    )
