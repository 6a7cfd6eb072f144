"""Delivers segments of the spool to MariaDB, exactly once, and says how many rows it took.

A segment is taken by renaming it to `NUMBER.shipping`, inserted, put on record in `shipped.json` beside it,
and deleted. A shipper that is killed in between begins again with the segments that are not on record.
Inserting a row twice changes nothing, because its id is the table's key.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from evergreen.private import open_private_file, write_private_file
from evergreen.serving.predictions.log_counts import COUNTS_NAME, ShippedCounts, read_counts
from evergreen.serving.predictions.record import (
    OutcomeRecord,
    PredictionRecord,
    RefusedRecord,
    encode_record,
    list_outcomes,
)
from evergreen.serving.predictions.record_rows import RecordRows
from evergreen.serving.predictions.segments import (
    FINISHED_SUFFIX,
    OPEN_SUFFIX,
    TAKEN_SUFFIX,
    list_segments,
    parse_segment_number,
    parse_segment_rows,
    read_segment,
)
from evergreen.store.predictions.outcomes import Outcome
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount

logger = logging.getLogger(__name__)

SPOILT_FOLDER = "spoilt"

# What the system says when a disk, or its owner's share of it, has no room.
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT))
# So many rows become one transaction; a segment is never divided.
_MOST_ROWS = 5_000

LogRow: TypeAlias = PredictionRow | Outcome | RefusedCount
_Row = TypeVar("_Row", PredictionRow, Outcome, RefusedCount)


class Inserts(NamedTuple):
    """Inserts rows of each kind into the database, all or none; rows that are there are not changed."""

    predictions: Callable[[Sequence[PredictionRow]], object]
    outcomes: Callable[[Sequence[Outcome]], object]
    refused: Callable[[Sequence[RefusedCount]], object]


@dataclass
class _Load:
    """Segments that are inserted together."""

    paths: list[Path] = field(default_factory=list)
    predictions: RecordRows = field(default_factory=RecordRows)
    outcomes: list[Outcome] = field(default_factory=list)
    refused: list[RefusedCount] = field(default_factory=list)
    spoilt: list[tuple[Path, bytes]] = field(default_factory=list)
    spoilt_rows: int = 0

    @property
    def rows(self) -> int:
        return len(self.predictions) + len(self.outcomes) + len(self.refused)


class Delivery:
    """Delivers the segments of folders that this process has locked.

    `is_row_at_fault` says whether an exception of the inserts means that a row itself is at fault, and not
    that the database is away. `refuse` keeps such a row and the reason.
    """

    def __init__(
        self,
        folder: Path,
        inserts: Inserts,
        is_row_at_fault: Callable[[Exception], bool],
        refuse: Callable[[LogRow, Exception], None],
    ) -> None:
        self._folder = folder
        self._inserts = inserts
        self._is_row_at_fault = is_row_at_fault
        self._refuse = refuse
        # What was refused and could not be kept yet, and the ids of what was kept of segments on disk.
        self._unkept: list[tuple[LogRow, Exception]] = []
        self._kept_ids: set[tuple[type[LogRow], str]] = set()
        self.counts = read_counts(folder)
        self._are_counts_on_disk = True

    def deliver_folder(self, folder: Path, *, is_ended: bool) -> bool:
        """Deliver some of the finished segments of a folder; False when it has none.

        `is_ended`: the process that wrote it has ended, so its open segment is finished too. Raises what the
        database raises; then the same segments are delivered by the next call.
        """
        if is_ended:
            for path in list_segments(folder, OPEN_SUFFIX):
                path.rename(path.with_suffix(FINISHED_SUFFIX))
        load = self._take_segments(folder)
        if not load.paths:
            return False
        try:
            self._deliver(folder, load)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            # Only deleted segments make room, and one alone is deleted at once. Rows of it that MariaDB has
            # taken just now are not changed by taking them again.
            logger.warning("the disk of %s is full: what MariaDB has taken is deleted first", folder)
            self._deliver_at_full_disk(folder, self._take_segments(folder, most_segments=1))
        return True

    def _deliver(self, folder: Path, load: _Load) -> None:
        refusals = self._insert_load(load)
        # Not before, because all of it is inserted again where the database goes away in between.
        self._keep_refusals(refusals)
        self._set_spoilt_aside(folder, load.spoilt)
        self._count(folder, load, len(refusals))
        _remove_segments(load.paths)
        self._kept_ids.clear()

    def _deliver_at_full_disk(self, folder: Path, load: _Load) -> None:
        """Deliver a load of one segment, and delete that before anything is written. Where even then nothing
        can be written, what has to be is in memory until it can; a kill before that loses it."""
        refusals = self._insert_load(load)
        if load.spoilt:
            self._move_aside(folder, load.paths[0])
        else:
            _remove_segments(load.paths)
        self._unkept += refusals
        self.counts = self._add_counts(folder, load, len(refusals))
        self._are_counts_on_disk = False
        self.settle(is_ended=False)

    def settle(self, *, is_ended: bool) -> None:
        """Write what had no room when it was delivered: refused rows, and the counts. Where there is still
        none, this is for a later call, unless the worker `is_ended` and refused rows would be lost with this
        process: then it raises OSError."""
        try:
            self._keep_refusals([])
            if not self._are_counts_on_disk:
                self._write_counts(self._folder, self.counts)
        except OSError as error:
            if error.errno not in _NO_ROOM or (is_ended and self._unkept):
                raise

    def _insert_load(self, load: _Load) -> list[tuple[LogRow, Exception]]:
        """Insert the rows of a load; those that the database refused, and why."""
        return [
            *self._insert(load.predictions, self._inserts.predictions),
            *self._insert(load.outcomes, self._inserts.outcomes),
            *self._insert(load.refused, self._inserts.refused),
        ]

    def _keep_refusals(self, refusals: Sequence[tuple[LogRow, Exception]]) -> None:
        """Keep rows that MariaDB refused, each once, and before them those for which there was no room.
        Raises OSError, and then `refusals` have to come again."""
        while self._unkept:
            self._keep_refusal(*self._unkept[0])
            del self._unkept[0]
        for row, error in refusals:
            self._keep_refusal(row, error)

    def _keep_refusal(self, row: LogRow, error: Exception) -> None:
        row_id = (type(row), _get_id(row))
        if row_id not in self._kept_ids:
            self._refuse(row, error)
            self._kept_ids.add(row_id)
            logger.error("MariaDB refused a %s: %s", type(row).__name__, error)

    def show_trouble(self, trouble: str) -> None:
        """Put on record why MariaDB takes no rows; "" when it does. On a full disk the log alone says it."""
        if trouble != self.counts.trouble:
            try:
                self._write_counts(self._folder, replace(self.counts, trouble=trouble))
            except OSError as error:
                logger.warning("what keeps the rows on disk cannot be put on record: %s: %s", error, trouble)

    def _take_segments(self, folder: Path, most_segments: int | None = None) -> _Load:
        load = _Load()
        done = read_counts(folder).segment
        taken = list_segments(folder, TAKEN_SUFFIX)
        for path in sorted([*taken, *list_segments(folder)], key=parse_segment_number):
            if parse_segment_number(path) <= done:
                path.unlink(missing_ok=True)  # a shipper that was killed had delivered it
                continue
            if path.suffix != TAKEN_SUFFIX:
                try:
                    path = path.rename(path.with_suffix(TAKEN_SUFFIX))
                except FileNotFoundError:
                    continue  # the service has dropped it
            self._read_into(load, path)
            if load.rows >= _MOST_ROWS or len(load.paths) == most_segments:
                break
        return load

    def _read_into(self, load: _Load, path: Path) -> None:
        segment = read_segment(path)
        load.paths.append(path)
        spoilt = len(load.spoilt)
        load.spoilt += [(path, data) for data in segment.spoilt]
        if segment.torn:
            load.spoilt.append((path, segment.torn))
        before = load.rows
        for record in segment.records:
            try:
                match record:
                    case PredictionRecord():
                        assert segment.schema is not None, "read_segment gives no prediction without it"
                        load.predictions.add(segment.schema, record)
                    case OutcomeRecord():
                        load.outcomes += list(list_outcomes(record))
                    case RefusedRecord():
                        load.refused += record.counts
            except (LookupError, ValueError):
                # It does not fit its schema, and would keep all that come after it from MariaDB.
                load.spoilt.append((path, encode_record(record)))
        written = parse_segment_rows(path)
        missing = 0 if written is None else written - (load.rows - before)
        if missing and len(load.spoilt) > spoilt:
            load.spoilt_rows += missing
        elif missing:
            logger.error("%s has %d rows less than were written to it", path, missing)

    def _insert(
        self, rows: Sequence[_Row], insert: Callable[[Sequence[_Row]], object]
    ) -> list[tuple[LogRow, Exception]]:
        """Insert rows; a refused group is halved until the rows at fault are alone. Returns them, and why."""
        if not rows:
            return []
        try:
            insert(rows)
        except Exception as error:
            if not self._is_row_at_fault(error):
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                return self._insert(rows[:middle], insert) + self._insert(rows[middle:], insert)
            return [(rows[0], error)]
        return []

    def _set_spoilt_aside(self, folder: Path, spoilt: Sequence[tuple[Path, bytes]]) -> None:
        for number, (path, data) in enumerate(spoilt):
            target = self._folder.parent / SPOILT_FOLDER
            target.mkdir(mode=0o700, exist_ok=True)
            file = target / f"{folder.name}-{path.stem}-{number}.bytes"
            write_private_file(file, data)
            logger.error("%d bytes of %s are no record and were set aside as %s", len(data), path, file)

    def _move_aside(self, folder: Path, path: Path) -> None:
        """Set a whole segment aside, which needs no room. Raises OSError."""
        target = self._folder.parent / SPOILT_FOLDER
        target.mkdir(mode=0o700, exist_ok=True)
        path.rename(target / f"{folder.name}-{path.stem}.bytes")

    def _count(self, folder: Path, load: _Load, refused: int) -> None:
        """Put on record what has been delivered. Raises OSError; where that says that there is no room, it is
        on no record."""
        counts = self._add_counts(folder, load, refused)
        if folder == self._folder:
            self._write_counts(folder, counts)
            return
        # On the folder's own record, because another shipper would go on with it after a kill of this.
        segment = parse_segment_number(load.paths[-1])
        self._write_counts(folder, replace(read_counts(folder), segment=segment))
        # From here on the rows would not be counted again.
        self.counts = counts
        self._are_counts_on_disk = False
        self.settle(is_ended=False)

    def _add_counts(self, folder: Path, load: _Load, refused: int) -> ShippedCounts:
        counts = self.counts
        is_own = folder == self._folder
        return ShippedCounts(
            segment=parse_segment_number(load.paths[-1]) if is_own else counts.segment,
            written=counts.written + load.rows - refused,
            refused=counts.refused + refused,
            adopted=counts.adopted + (0 if is_own else load.rows + load.spoilt_rows),
            spoilt=counts.spoilt + len(load.spoilt),
            spoilt_rows=counts.spoilt_rows + load.spoilt_rows,
        )

    def _write_counts(self, folder: Path, counts: ShippedCounts) -> None:
        write_private_file(folder / COUNTS_NAME, json.dumps(asdict(counts)))
        if folder == self._folder:
            self.counts = counts
            self._are_counts_on_disk = True


def _get_id(row: LogRow) -> str:
    match row:
        case PredictionRow():
            return row.prediction_id
        case Outcome():
            return row.outcome_id
    return row.count_id


def _remove_segments(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def append_refused_row(path: Path, row: LogRow, error: Exception) -> None:
    """Append a row that MariaDB refused, and why, to a file of JSON lines for an operator."""
    line = json.dumps({"reason": str(error), "row": row.to_json()}) + "\n"
    handle = open_private_file(path, os.O_WRONLY | os.O_APPEND)
    try:
        # The shippers of all workers append to it, and a half line is cut off up to the size of before.
        fcntl.flock(handle, fcntl.LOCK_EX)
        size = os.fstat(handle).st_size
        data = line.encode()
        try:
            while data:
                data = data[os.write(handle, data) :]
        except OSError:
            os.ftruncate(handle, size)  # a full disk may hold half a line
            raise
    finally:
        os.close(handle)
