"""`python -m evergreen.serving.predictions.shipper FOLDER LOCK`: the process that delivers a spool.

A worker of the service starts one for its spool's FOLDER; LOCK is the inherited descriptor that holds the
folder's lock. Each line on standard input says that a segment is finished, and the end of the input that the
worker has ended, for whatever reason: then the shipper delivers what is left and ends. A process of its own,
because inserting rows in a thread of the service made its answers late, and because MariaDB may hang.

Every half minute it also looks for folders of workers that have ended without delivering everything.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import sqlalchemy.exc

from evergreen.errors import EvergreenError, SchemaMismatch, StoreError, StoreRefused, StoreUnreachable
from evergreen.serving.predictions.delivery import COUNTS_NAME, Delivery, Inserts, append_refused_row
from evergreen.serving.predictions.former_spool import convert_former_segments
from evergreen.serving.predictions.spool import LOCK_NAME, lock_folder
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.settings import Settings, load_settings
from evergreen.store.connection.database import WRONG_VALUE, get_engine, get_error_code
from evergreen.store.predictions.channels import CANARY, CHALLENGER, PROBE, SHADOW
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.outcomes import insert_outcomes
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import insert_refused_counts
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# What a shipper gets to deliver the rest, once its worker has ended. The worker waits a little longer for it.
DRAIN_SECONDS = 15.0
_ADOPT_SECONDS = 30.0
_RETRY_SECONDS = (0.5, 5.0)


class PredictionInserter:
    """Inserts predictions, also into a table of the version before, while the table is brought up to date."""

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._engine = get_engine(settings)
        self._use_case = use_case
        self.table_update = TableUpdate(lambda: update_prediction_tables(self._engine, use_case))

    def insert(self, rows: Sequence[PredictionRow]) -> None:
        """Insert rows, all or none. Raises what the database raises."""
        self.table_update.start()
        up_to_date = self.table_update.done
        try:
            load_predictions(self._engine, self._use_case, rows)
        except sqlalchemy.exc.DataError:
            if up_to_date:
                raise
            if any(row.channel in (CHALLENGER, SHADOW) for row in rows):
                # Not a fault of the rows: they wait until the table knows their channels.
                raise StoreRefused(
                    f"{self._use_case.prediction_table} is being brought up to date",
                    hint="rows of a trial wait in the spool until it is done",
                ) from None
            # A table that an earlier version made knows a probe by its former name only.
            former = [replace(row, channel=CANARY) if row.channel == PROBE else row for row in rows]
            load_predictions(self._engine, self._use_case, former)


class Shipper:
    """Delivers one worker's folder, and folders that nobody holds, until the worker has ended."""

    def __init__(self, settings: Settings, use_case: UseCase, folder: Path, lock: int) -> None:
        self._use_case = use_case
        self._folder = folder
        self._home = folder.parent
        # By folder: the descriptor of its lock. The own folder comes first.
        self._locks = {folder: lock}
        engine = get_engine(settings)
        self._delivery = Delivery(
            folder,
            Inserts(
                PredictionInserter(settings, use_case).insert,
                partial(insert_outcomes, engine, use_case),
                partial(insert_refused_counts, engine, use_case),
            ),
            is_row_at_fault,
            partial(append_refused_row, self._home / f"{use_case.name}.refused.jsonl"),
        )
        self._retry_delay = _RETRY_SECONDS[0]
        self._retry_at = 0.0
        self._adopt_at = 0.0

    def run(self) -> None:
        """Deliver until the worker has ended and nothing is left."""
        is_ended = False
        while True:
            if not is_ended:
                is_ended = not _wait_for_news(self._compute_pause())
            if time.monotonic() >= self._adopt_at:
                self._adopt_folders()
            if time.monotonic() >= self._retry_at and self._deliver(is_ended=is_ended):
                break
            if is_ended:
                time.sleep(max(0.0, self._retry_at - time.monotonic()))

    def _compute_pause(self) -> float:
        now = time.monotonic()
        return max(0.0, min(1.0, self._retry_at - now) if self._retry_at > now else 1.0)

    def _deliver(self, *, is_ended: bool) -> bool:
        """Deliver everything that is finished: whether nothing is left and the worker has ended."""
        try:
            for folder in list(self._locks):
                is_own = folder == self._folder
                while self._delivery.deliver_folder(folder, is_ended=is_ended or not is_own):
                    self._show_success()
                if not is_own or is_ended:
                    self._remove_folder(folder)
        except Exception as error:  # noqa: BLE001  whatever the database raises, the rows must not be lost
            text = error.message if isinstance(error, EvergreenError) else f"{type(error).__name__}: {error}"
            if not self._delivery.counts.trouble:
                logger.warning("MariaDB takes no predictions now, they wait on disk: %s", text)
            self._delivery.show_trouble(text)
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(_RETRY_SECONDS[1], 2 * self._retry_delay)
            return False
        self._show_success()
        return is_ended

    def _show_success(self) -> None:
        if self._delivery.counts.trouble:
            logger.info("MariaDB takes predictions again")
        self._delivery.show_trouble("")
        self._retry_delay = _RETRY_SECONDS[0]
        self._retry_at = 0.0

    def _adopt_folders(self) -> None:
        self._adopt_at = time.monotonic() + _ADOPT_SECONDS
        for folder in sorted(self._home.glob(f"{self._use_case.name}-*/")):
            if folder in self._locks:
                continue
            try:
                lock = lock_folder(folder)
            except FileNotFoundError:  # another shipper has just removed it
                continue
            if lock is not None:
                self._locks[folder] = lock
                convert_former_segments(self._use_case.name, folder)

    def _remove_folder(self, folder: Path) -> None:
        """Remove a folder of which everything is delivered, and give up its lock."""
        if any(path.name not in (LOCK_NAME, COUNTS_NAME) for path in folder.iterdir()):
            logger.warning("%s holds files that are no segments; it stays", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(self._locks.pop(folder))


def is_row_at_fault(error: Exception) -> bool:
    """Whether MariaDB would refuse the row again: a value or a field that the table does not have."""
    if isinstance(error, StoreError):
        return not isinstance(error, StoreUnreachable | StoreRefused | SchemaMismatch)
    if isinstance(error, sqlalchemy.exc.DataError | sqlalchemy.exc.IntegrityError):
        return True
    # mysqlclient has an OperationalError for it, PyMySQL a DataError.
    return get_error_code(error) == WRONG_VALUE


def _wait_for_news(timeout: float) -> bool:
    """Wait for a line of the worker, at most `timeout` seconds; False when the worker has ended."""
    if not select.select([0], [], [], timeout)[0]:
        return True
    return bool(os.read(0, 4096))


def end_after_worker(seconds: float) -> None:
    """End this process so many seconds after its worker, also while it waits for a MariaDB that hangs.

    A thread waits for the worker's end, because the delivery may hang before it comes.
    """

    def _end() -> None:
        worker = select.poll()
        worker.register(0, select.POLLHUP)
        worker.poll()
        time.sleep(seconds)
        logger.warning("predictions that MariaDB has not taken wait on disk for the next start")
        logging.shutdown()
        os._exit(0)

    threading.Thread(target=_end, name="end", daemon=True).start()


def main() -> int:
    """Deliver until the worker has ended."""
    # A signal to the whole group reaches the shipper too, which must deliver what the worker still writes.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s [shipper] [%(levelname)s] %(message)s")
    end_after_worker(DRAIN_SECONDS)
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    settings = load_settings()
    Shipper(settings, load_use_case(settings.use_case, settings), folder, lock).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
