"""The prediction log's way into MariaDB: a queue, a writer thread, and the disk while MariaDB is away.

A request only puts its rows into the queue. The writer inserts them in groups; rows that MariaDB cannot take
now wait in a `PredictionSpool` and are replayed in order when it is back, also by the next process.
Inserting the same row twice is harmless (INSERT IGNORE on the prediction id), so an unclear outcome is
simply tried again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from evergreen.errors import PredictionLogFull
from evergreen.serving.predictions.spool import PredictionSpool, Row

logger = logging.getLogger(__name__)


class PredictionLog:
    """Takes rows off the request path and gets every one of them into MariaDB.

    `write` inserts rows, all or none; `at_fault` tells whether its exception means that a row itself is at
    fault, and not that the database is away. Counters: `accepted`; `written` (in MariaDB); `lost` (refused by
    MariaDB and handed to `refuse`: 0 in a healthy service); `queued` and `spilled` (on their way).
    """

    def __init__(
        self,
        write: Callable[[Sequence[Row]], object],
        spill: PredictionSpool,
        *,
        at_fault: Callable[[Exception], bool] = lambda error: False,
        refuse: Callable[[Row, Exception], None] = lambda row, error: None,
        capacity: int = 100_000,
        group_rows: int = 1000,
        group_seconds: float = 0.1,
        retry_seconds: tuple[float, float] = (0.5, 5.0),
        observe: Callable[[PredictionLog], None] = lambda log: None,
    ) -> None:
        self._write = write
        self._spill = spill
        self._at_fault = at_fault
        self._refuse = refuse
        self._capacity = capacity
        self._group_rows = group_rows
        self._group_seconds = group_seconds
        self._first_retry, self._longest_retry = retry_seconds
        self._observe = observe
        self._rows: deque[Row] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._hurry = 0
        self._retry_delay = self._first_retry
        self._retry_at = 0.0
        self._thread: threading.Thread | None = None
        self._hand: list[Row] = []
        self.accepted = 0
        self.written = 0
        self.lost = 0

    @property
    def queued(self) -> int:
        """Rows in memory, those in the writer's hand included."""
        return len(self._rows) + len(self._hand)

    @property
    def spilled(self) -> int:
        """Rows on disk."""
        return self._spill.rows

    def put(self, rows: Sequence[Row]) -> None:
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
            self._hurry += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self.written + self.lost >= target, timeout)
            finally:
                self._hurry -= 1

    def start(self) -> None:
        """Adopt what former processes left on disk, and begin to write."""
        self.accepted += self._spill.adopt()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Drain: what MariaDB does not take within `timeout` seconds stays on disk for the next process."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self._leave_a_hung_database()

    def _leave_a_hung_database(self) -> None:
        """MariaDB neither takes nor refuses: what it has not confirmed goes to disk."""
        with self._changed:
            rows = [*self._hand, *self._rows]
            self._rows.clear()
        spill = self._spill.sibling()
        spill.append(rows)
        spill.close()
        logger.warning("MariaDB hangs; %d predictions wait on disk for the next start", len(rows))

    def _run(self) -> None:
        while True:
            batch = self._take()
            if batch is None:
                self._spill.close()
                return
            try:
                self._deliver(batch)
            except Exception:
                # Neither MariaDB nor the disk: keep the rows in memory and try again.
                logger.exception("%d predictions could not be logged yet", len(batch))
                with self._changed:
                    self._rows.extendleft(reversed(batch))
                    self._hand = []
                if self._stopping:
                    logger.critical("%d predictions are lost at shutdown", len(self._rows))
                    return
                time.sleep(self._first_retry)
            with self._changed:
                self._hand = []
                self._changed.notify_all()
            self._observe(self)

    def _take(self) -> list[Row] | None:
        """The next group of rows; empty when it is time to try the spilled ones; None at the end."""
        with self._changed:
            wait = None if not self._spill.rows else max(0.0, self._retry_at - time.monotonic())
            self._changed.wait_for(lambda: self._rows or self._stopping, wait)
            if not self._stopping and not self._hurry and self._rows:
                # A short wait turns many single inserts into one; a full group or a flush ends it.
                self._changed.wait_for(
                    lambda: len(self._rows) >= self._group_rows or self._stopping or self._hurry,
                    self._group_seconds,
                )
            if self._stopping and not self._rows:
                return None
            batch = list(islice(self._rows, self._group_rows))
            for _ in batch:
                self._rows.popleft()
            self._hand = batch
            return batch

    def _deliver(self, batch: list[Row]) -> None:
        if time.monotonic() < self._retry_at and not self._hurry:
            self._spill.append(batch)
            return
        try:
            self._replay()
            self._record(batch)
        except Exception as error:  # noqa: BLE001  whatever the database throws, the rows must survive it
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(self._longest_retry, 2 * self._retry_delay)
            logger.warning("MariaDB does not take predictions now, they wait on disk: %s", error)
            self._spill.append(batch)
        else:
            self._retry_delay = self._first_retry
            self._retry_at = 0.0

    def _replay(self) -> None:
        """Insert the oldest segment from the disk; one at a time, so that new rows get their turn."""
        if self._spill.rows:
            rows = self._spill.oldest()
            lost = self._insert(rows)
            self._spill.drop_oldest()
            self._count(len(rows), lost)

    def _record(self, rows: list[Row]) -> None:
        if rows:
            self._count(len(rows), self._insert(rows))

    def _count(self, rows: int, lost: int) -> None:
        with self._changed:
            self.lost += lost
            self.written += rows - lost
            self._changed.notify_all()

    def _insert(self, rows: list[Row]) -> int:
        """Insert rows, halving a refused group until those at fault stand alone. Returns their number."""
        try:
            self._write(rows)
        except Exception as error:
            if not self._at_fault(error):
                raise
            if len(rows) > 1:
                middle = len(rows) // 2
                return self._insert(rows[:middle]) + self._insert(rows[middle:])
            logger.error("MariaDB refused prediction %s: %s", rows[0].get("prediction_id"), error)
            self._refuse(rows[0], error)
            return 1
        return 0
