"""The spool: predictions on local disk, written before they are answered, on their way to MariaDB.

Each worker process of a service has a folder of its own under the home (`spool_folders.py`). Its shipper
(`shipper.py`) inserts finished segments into MariaDB and deletes them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from evergreen.errors import PredictionLogFull
from evergreen.private import open_private_file
from evergreen.serving.predictions.record import SegmentSchema, build_segment_schema, encode_record
from evergreen.serving.predictions.segments import (
    FINISHED_SUFFIX,
    OPEN_SUFFIX,
    delete_segment,
    format_segment_name,
    frame_records,
    list_segment_numbers,
    list_segments,
    parse_segment_number,
)
from evergreen.serving.predictions.spool_folders import (
    OtherFolders,
    make_locked_folder,
    measure_other_folders,
    sync_folder,
)
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)

Durability = Literal["process", "power"]
FullPolicy = Literal["refuse", "drop_oldest"]

# A segment that nobody ships yet may grow to this size; otherwise it is finished sooner, by `finish_segment`.
_SEGMENT_BYTES = 8 * 1024 * 1024
_TELL_SECONDS = 10.0
# So old may be what is known of the folders of other processes, unless the spool is full.
_OTHERS_SECONDS = 5.0
_COUNT_ATTEMPTS = 5


class SpoolRows(NamedTuple):
    """Rows of one process's spool, all of the same moment.

    `dropped` contains `adopted`, those of ended processes; `waiting` are on disk, by number of segment.
    """

    accepted: int
    adopted: int
    dropped: int
    waiting: dict[int, int]


class _Segment(NamedTuple):
    """A finished segment: its rows, its bytes, and when it was begun (seconds since 1970)."""

    rows: int
    size: int
    began_at: float


class Spool:
    """Appends records to the segments of one process. Thread-safe.

    `durability`: "process" survives the end of every process, because the system has the bytes before
    `append` returns; "power" also survives the machine's, because the disk has them.

    `limit_bytes` is for the folders of all processes of the use case under `home`, of which those of others
    are looked at every few seconds. At the limit `append` raises, or with `full_policy` "drop_oldest" deletes
    the oldest segments that are not being shipped: first those of ended processes, then its own. With
    "drop_oldest", processes that live share the limit: one that has less than its share drops nothing of its
    own and is not refused.

    Counters in rows: `accepted` by `append`, `dropped` by the policy, `adopted` of those from ended
    processes.
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
        self.lock = make_locked_folder(self.folder)
        if durability == "power":
            sync_folder(home)
        self._schema = frame_records([encode_record(schema)])
        self._durability = durability
        self._limit_bytes = limit_bytes
        self._full_policy = full_policy
        self._mutex = threading.Lock()
        self._handle = -1
        self._is_closed = False
        self._number = 0
        self._size = 0  # of the open segment
        self._open_rows = 0
        self._began_at = 0.0
        # By number: finished segments that were on disk at the last `measure`.
        self._finished: dict[int, _Segment] = {}
        self._finished_bytes = 0
        self._others = measure_other_folders(self.folder, schema.use_case)
        self._others_at = time.monotonic()
        self._use_case_name = schema.use_case
        self._is_full = False
        self._has_rows = threading.Event()
        self._tell_at = 0.0
        self.accepted = 0
        self.adopted = 0
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
            try:
                self._make_room(len(data) + (len(self._schema) if self._handle < 0 else 0))
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
            open_path = self.folder / format_segment_name(self._number, OPEN_SUFFIX)
            open_path.rename(
                self.folder / format_segment_name(self._number, FINISHED_SUFFIX, self._open_rows)
            )
            handle, self._handle = self._handle, -1
            self._finished_bytes += self._size
            self._finished[self._number] = _Segment(self._open_rows, self._size, self._began_at)
            self._open_rows = self._size = 0
            self._has_rows.clear()
            os.close(handle)
            return True

    def wait_for_rows(self, timeout: float) -> bool:
        """Wait until the open segment holds something: whether it does, within `timeout` seconds."""
        return self._has_rows.wait(timeout)

    def measure(self) -> int:
        """The bytes of this process's segments on disk; shipped ones count no more. With `full_policy`
        "drop_oldest" segments beyond the limit are deleted first, as by `append`. Raises OSError."""
        now = time.monotonic()
        others = None
        if now >= self._others_at + _OTHERS_SECONDS or self._is_full:
            self._others_at = now
            others = measure_other_folders(self.folder, self._use_case_name)
        with self._mutex:
            finished = set(self._finished)
        shipped = finished - list_segment_numbers(self.folder)
        with self._mutex:
            for number in shipped & self._finished.keys():
                self._finished_bytes -= self._finished.pop(number).size
        if others is not None and self._full_policy == "drop_oldest":
            # Before `append` knows of them, and without the mutex, because they may be thousands.
            while others.ended_segments and self._compute_excess(0, others) > 0:
                rows = others.drop_segment()
                with self._mutex:
                    self._count_dropped(rows, are_of_ended=True)
        with self._mutex:
            if others is not None:
                self._others = others
            self._is_full = False
            if self._full_policy == "drop_oldest":
                self._drop_excess(0)
            return self._finished_bytes + self._size

    def compute_age(self) -> float:
        """For how many seconds the oldest segment on this volume has been waiting; 0 where none does."""
        with self._mutex:
            moments = [segment.began_at for segment in self._finished.values()]
            if self._handle >= 0:
                moments.append(self._began_at)
            if self._others.oldest_at is not None:
                moments.append(self._others.oldest_at)
        return max(0.0, time.time() - min(moments)) if moments else 0.0

    def count_rows(self) -> SpoolRows:
        """The rows of this process, and where they are; a row that is on disk no more is not `waiting`."""
        for _ in range(_COUNT_ATTEMPTS):  # again where segments are dropped meanwhile
            with self._mutex:
                waiting = {number: segment.rows for number, segment in self._finished.items()}
                if self._handle >= 0:
                    waiting[self._number] = self._open_rows
                rows = SpoolRows(self.accepted, self.adopted, self.dropped, waiting)
            for number in waiting.keys() - list_segment_numbers(self.folder):
                del waiting[number]
            with self._mutex:
                if self.dropped == rows.dropped:
                    break
        return rows

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
        """Raise PredictionLogFull where so many bytes more are too many, and none can be dropped for them."""
        if self._finished_bytes + self._size + size + self._others.size <= self._limit_bytes:
            return
        self._is_full = True
        if self._full_policy == "drop_oldest" and self._drop_excess(size):
            return
        self._tell("the spool %s has its greatest size: predictions are refused", self.folder.parent)
        raise PredictionLogFull(
            f"the prediction log has its greatest size: {self._limit_bytes:,} bytes wait for MariaDB",
            hint="send again later; `evergreen status` says why MariaDB takes none",
        )

    def _drop_excess(self, size: int) -> bool:
        """Drop segments until there is room for so many bytes more: whether there is, as `_has_room` says."""
        while self._others.ended_segments and self._compute_excess(size, self._others) > 0:
            self._count_dropped(self._others.drop_segment(), are_of_ended=True)
        if self._has_room(size):
            return True
        for path in list_segments(self.folder):
            self._drop_own(path)
            if self._has_room(size):
                return True
        return False

    def _has_room(self, size: int) -> bool:
        """Whether there is room for so many bytes more, or this process has not more than its share: then
        what is too much is another process's."""
        share = self._limit_bytes // (1 + self._others.living)
        is_within_share = self._finished_bytes + self._size + size <= share
        return is_within_share or self._compute_excess(size, self._others) <= 0

    def _compute_excess(self, size: int, others: OtherFolders) -> int:
        """By how many bytes the limit would be exceeded by so many bytes more."""
        return self._finished_bytes + self._size + size + others.size - self._limit_bytes

    def _drop_own(self, path: Path) -> None:
        """Delete a finished segment of this process, unless the shipper has taken it."""
        if delete_segment(path):
            segment = self._finished.pop(parse_segment_number(path), None)
            if segment is not None:
                self._finished_bytes -= segment.size
                self._count_dropped(segment.rows)

    def _count_dropped(self, rows: int, *, are_of_ended: bool = False) -> None:
        if rows == 0:
            return
        self.dropped += rows
        if are_of_ended:
            self.adopted += rows
        self._tell("the spool is full: %d predictions have been dropped, the oldest first", self.dropped)

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
        self._began_at = time.time()
        try:
            self._write(self._schema)
            if self._durability == "power":
                sync_folder(self.folder)
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
