"""The writer of the prediction log: a queue in memory, a thread, and the disk while MariaDB is away.

A request only puts its rows into the queue. The thread inserts them in groups. Rows that MariaDB cannot take
now wait in a `PredictionSpool` on disk and are inserted in order when it is back, also by the next process.
Inserting a row twice changes nothing, because its id is the table's key; so after an error that leaves open
whether rows were written, they are inserted again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from evergreen.errors import PredictionLogFull
from evergreen.serving.predictions.spool import PredictionSpool
from evergreen.store.predictions.prediction_row import PredictionRow

logger = logging.getLogger(__name__)


class PredictionLog:
    """Writes prediction rows into MariaDB in a thread of its own.

    `write` inserts rows, all or none; `is_row_at_fault` says whether its exception means that a row itself is
    at fault, and not that the database is away. `observe` is called after each group.

    Counters, in rows: `accepted` by `put`; `written` to MariaDB; `lost`, which MariaDB refused and `refuse`
    was called with (0 in a healthy service); `queued` in memory and `spilled` on disk.
    """

    def __init__(
        self,
        write: Callable[[Sequence[PredictionRow]], object],
        spool: PredictionSpool,
        *,
        is_row_at_fault: Callable[[Exception], bool] = lambda error: False,
        refuse: Callable[[PredictionRow, Exception], None] = lambda row, error: None,
        capacity: int = 100_000,
        group_rows: int = 1000,
        group_seconds: float = 0.1,
        retry_seconds: tuple[float, float] = (0.5, 5.0),
        observe: Callable[[PredictionLog], None] = lambda log: None,
    ) -> None:
        self._write = write
        self._spool = spool
        self._is_row_at_fault = is_row_at_fault
        self._refuse = refuse
        self._capacity = capacity
        self._group_rows = group_rows
        self._group_seconds = group_seconds
        self._first_retry, self._longest_retry = retry_seconds
        self._observe = observe
        self._rows: deque[PredictionRow] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._flushes = 0
        self._retry_delay = self._first_retry
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        self._batch: list[PredictionRow] = []
        self.accepted = 0
        self.written = 0
        self.lost = 0

    @property
    def queued(self) -> int:
        """Rows in memory, with those that are being inserted."""
        return len(self._rows) + len(self._batch)

    @property
    def spilled(self) -> int:
        """Rows on disk."""
        return self._spool.rows

    def put(self, rows: Sequence[PredictionRow]) -> None:
        """Queue rows for the log. Raises PredictionLogFull rather than answer what cannot be logged."""
        with self._changed:
            if len(self._rows) + len(rows) > self._capacity:
                raise PredictionLogFull(
                    f"{len(self._rows)} predictions wait to be logged; the queue is full",
                    hint="neither MariaDB nor the disk takes rows: see the service's log, then send again",
                )
            self._rows.extend(rows)
            self.accepted += len(rows)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until everything accepted so far is in MariaDB: whether it is, within `timeout` seconds."""
        with self._changed:
            target = self.accepted
            self._flushes += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self.written + self.lost >= target, timeout)
            finally:
                self._flushes -= 1

    def start(self) -> None:
        """Take over the rows that former processes left on disk, and start the thread."""
        self.accepted += self._spool.adopt()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Write what is queued and end; what MariaDB does not take within `timeout` seconds stays on disk."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._move_queue_to_disk()

    def _move_queue_to_disk(self) -> None:
        """Put every row that a MariaDB without an answer has not confirmed onto disk."""
        with self._changed:
            rows = [*self._batch, *self._rows]
            self._rows.clear()
        # The thread, which still waits for MariaDB, owns the other spool.
        spool = self._spool.create_sibling()
        spool.append(rows)
        spool.close()
        logger.warning("MariaDB hangs; %d predictions wait on disk for the next start", len(rows))

    def _run(self) -> None:
        """The thread: deliver one group after the other until `stop`."""
        while True:
            batch = self._take_group()
            if batch is None:
                self._spool.close()
                return
            try:
                self._deliver(batch)
            except Exception:
                # Neither MariaDB nor the disk: keep the rows in memory and try again.
                logger.exception("%d predictions could not be logged yet", len(batch))
                with self._changed:
                    self._rows.extendleft(reversed(batch))
                    self._batch = []
                if self._stopping:
                    logger.critical("%d predictions are lost at shutdown", len(self._rows))
                    return
                time.sleep(self._first_retry)
            with self._changed:
                self._batch = []
                self._changed.notify_all()
            self._observe(self)

    def _take_group(self) -> list[PredictionRow] | None:
        """The next group of rows; empty when it is time to try those on disk; None after `stop`."""
        with self._changed:
            wait = None if not self._spool.rows else max(0.0, self._retry_at - time.monotonic())
            self._changed.wait_for(lambda: self._rows or self._stopping, wait)
            if not self._stopping and not self._flushes and self._rows:
                # A short wait turns many single inserts into one; a full group or a flush ends it.
                self._changed.wait_for(
                    lambda: len(self._rows) >= self._group_rows or self._stopping or self._flushes,
                    self._group_seconds,
                )
            if self._stopping and not self._rows:
                return None
            batch = list(islice(self._rows, self._group_rows))
            for _ in batch:
                self._rows.popleft()
            self._batch = batch
            return batch

    def _deliver(self, batch: list[PredictionRow]) -> None:
        """Insert a group after the oldest rows from disk, or put it on disk behind them."""
        if time.monotonic() < self._retry_at and not self._flushes:
            self._spool.append(batch)
            return
        try:
            self._replay()
            self._write_batch(batch)
        except Exception as error:  # noqa: BLE001  whatever the database raises, the rows must not be lost
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(self._longest_retry, 2 * self._retry_delay)
            logger.warning("MariaDB does not take predictions now, they wait on disk: %s", error)
            self._spool.append(batch)
        else:
            self._retry_delay = self._first_retry
            self._retry_at = 0.0

    def _replay(self) -> None:
        """Insert the oldest segment from disk; only one, so that new rows are written in between."""
        if self._spool.rows:
            rows = self._spool.read_oldest()
            refused_rows = self._insert(rows)
            self._spool.drop_oldest()
            self._count(len(rows), refused_rows)

    def _write_batch(self, rows: list[PredictionRow]) -> None:
        if rows:
            self._count(len(rows), self._insert(rows))

    def _count(self, rows: int, lost: int) -> None:
        with self._changed:
            self.lost += lost
            self.written += rows - lost
            self._changed.notify_all()

    def _insert(self, rows: list[PredictionRow]) -> int:
        """Insert rows; a refused group is halved until the rows at fault are alone. Returns their number."""
        try:
            self._write(rows)
        except Exception as error:
            if not self._is_row_at_fault(error):
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                return self._insert(rows[:middle]) + self._insert(rows[middle:])
            logger.error("MariaDB refused prediction %s: %s", rows[0].prediction_id, error)
            self._refuse(rows[0], error)
            return 1
        return 0
