"""Delivers segments of the spool to MariaDB, exactly once, and says how many rows it took.

A segment is taken by renaming it to `NUMBER.shipping`, inserted, put on record in `shipped.json` beside it,
and deleted. A shipper that is killed in between begins again with the segments that are not on record.
Inserting a row twice changes nothing, because its id is the table's key.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from evergreen.private import open_private_file, write_private_file
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
    read_segment,
)
from evergreen.store.predictions.outcomes import Outcome
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount

logger = logging.getLogger(__name__)

COUNTS_NAME = "shipped.json"
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


@dataclass(frozen=True)
class ShippedCounts:
    """What has left a folder's spool, in rows, up to the segment with the number `segment`.

    `written` to MariaDB; `refused` by it, and kept in a file; `adopted` from folders of processes that have
    ended, contained in both others; `spoilt` runs of bytes that were no records. `trouble` is why MariaDB
    takes none at present, or "".
    """

    segment: int = 0
    written: int = 0
    refused: int = 0
    adopted: int = 0
    spoilt: int = 0
    trouble: str = ""


@dataclass
class _Load:
    """Segments that are inserted together."""

    paths: list[Path] = field(default_factory=list)
    predictions: RecordRows = field(default_factory=RecordRows)
    outcomes: list[Outcome] = field(default_factory=list)
    refused: list[RefusedCount] = field(default_factory=list)
    spoilt: list[tuple[Path, bytes]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return len(self.predictions) + len(self.outcomes) + len(self.refused)


def read_counts(folder: Path) -> ShippedCounts:
    """The counts of a folder, from zero where nothing has left it."""
    try:
        return ShippedCounts(**json.loads((folder / COUNTS_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return ShippedCounts()


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
        self.counts = read_counts(folder)

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
        refusals = [
            *self._insert(load.predictions, self._inserts.predictions),
            *self._insert(load.outcomes, self._inserts.outcomes),
            *self._insert(load.refused, self._inserts.refused),
        ]
        # Not before, because all of it is inserted again where the database goes away in between.
        for row, error in refusals:
            logger.error("MariaDB refused a %s: %s", type(row).__name__, error)
            self._refuse(row, error)
        try:
            self._put_on_record(folder, load, len(refusals))
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            # A full disk has no room for the record either, and only deleted segments make some. Their rows
            # are in MariaDB. A kill before the record is written would leave them uncounted, no more.
            logger.warning("the disk of %s is full: what MariaDB has taken is deleted first", folder)
            spoilt = {path for path, _ in load.spoilt}
            _remove_segments([path for path in load.paths if path not in spoilt])
            self._put_on_record(folder, load, len(refusals))
        _remove_segments(load.paths)
        return True

    def show_trouble(self, trouble: str) -> None:
        """Put on record why MariaDB takes no rows; "" when it does. On a full disk the log alone says it."""
        if trouble != self.counts.trouble:
            try:
                self._write_counts(self._folder, replace(self.counts, trouble=trouble))
            except OSError as error:
                logger.warning("what keeps the rows on disk cannot be put on record: %s: %s", error, trouble)

    def _take_segments(self, folder: Path) -> _Load:
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
            if load.rows >= _MOST_ROWS:
                break
        return load

    def _read_into(self, load: _Load, path: Path) -> None:
        segment = read_segment(path)
        load.paths.append(path)
        load.spoilt += [(path, data) for data in segment.spoilt]
        if segment.torn:
            load.spoilt.append((path, segment.torn))
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

    def _put_on_record(self, folder: Path, load: _Load, refused: int) -> None:
        """Set aside what was spoilt, and count the rows that were delivered. Raises OSError."""
        self._set_spoilt_aside(folder, load.spoilt)
        self._count(folder, load, refused)

    def _count(self, folder: Path, load: _Load, refused: int) -> None:
        counts = self.counts
        segment = parse_segment_number(load.paths[-1])
        is_own = folder == self._folder
        if not is_own:
            # On the folder's own record, because another shipper would go on with it after a kill of this.
            self._write_counts(folder, replace(read_counts(folder), segment=segment))
        self._write_counts(
            self._folder,
            ShippedCounts(
                segment if is_own else counts.segment,
                counts.written + load.rows - refused,
                counts.refused + refused,
                counts.adopted + (0 if is_own else load.rows),
                counts.spoilt + len(load.spoilt),
            ),
        )

    def _write_counts(self, folder: Path, counts: ShippedCounts) -> None:
        write_private_file(folder / COUNTS_NAME, json.dumps(asdict(counts)))
        if folder == self._folder:
            self.counts = counts


def _remove_segments(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def append_refused_row(path: Path, row: LogRow, error: Exception) -> None:
    """Append a row that MariaDB refused, and why, to a file of JSON lines for an operator."""
    line = json.dumps({"reason": str(error), "row": row.to_json()})
    with os.fdopen(open_private_file(path, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8") as file:
        file.write(f"{line}\n")
