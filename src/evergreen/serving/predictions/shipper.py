"""`python -m evergreen.serving.predictions.shipper FOLDER LOCK`: the process that delivers a spool.

A worker of the service starts one for its spool's FOLDER; LOCK is the inherited descriptor that holds the
folder's lock. Each line on standard input says that a segment is finished, and the end of the input that the
worker has ended, for whatever reason: then the shipper delivers what is left and ends. A process of its own,
because inserting rows in a thread of the service made its answers late, and because MariaDB may hang.

Every half minute it also looks for folders of workers that have ended without delivering everything.
"""

from __future__ import annotations

import gc
import logging
import os
import re
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import sqlalchemy.exc

from evergreen.errors import EvergreenError, SchemaMismatch, StoreError, StoreRefused, StoreUnreachable
from evergreen.model.prediction_counter import PredictionCounter
from evergreen.private import open_private_file
from evergreen.serving.predictions.delivery import Delivery, Inserts, append_refused_row
from evergreen.serving.predictions.former_spool import convert_former_segments
from evergreen.serving.predictions.log_counts import COUNTS_NAME
from evergreen.serving.predictions.segments import DROPPED_SUFFIX
from evergreen.serving.predictions.shipping import ENDING_SIGNALS
from evergreen.serving.predictions.spool_folders import (
    ENDED_NAME,
    LOCK_NAME,
    list_spool_folders,
    lock_folder,
)
from evergreen.serving.predictions.table_update import TableUpdate
from evergreen.serving.service_log import configure_shipper_log
from evergreen.settings import Settings, load_settings
from evergreen.store.connection.database import WRONG_VALUE, get_engine, get_error_code
from evergreen.store.predictions.channels import CANARY, CHALLENGER, PROBE, SHADOW
from evergreen.store.predictions.load import load_predictions
from evergreen.store.predictions.outcomes import Outcome, insert_outcomes
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.predictions.refused import RefusedCount, insert_refused_counts
from evergreen.store.tables.prediction_tables import update_prediction_tables
from evergreen.usecase import UseCase
from evergreen.usecases import load_use_case

logger = logging.getLogger(__name__)

# What a shipper gets to deliver the rest, once its worker has ended. The worker waits a little longer for it.
DRAIN_SECONDS = 15.0
_ADOPT_SECONDS = 30.0
_RETRY_SECONDS = (0.5, 5.0)
# Less urgent than the worker's answers: where processors are few, rows reach MariaDB a moment later instead.
_NICENESS = 5
# What a process that was killed leaves of a segment that it dropped, or of a file that it replaced.
_LEFTOVER = re.compile(rf"\d+(-\d+)?{re.escape(DROPPED_SUFFIX)}|\..+\.part")


class LogInserter:
    """Inserts rows of the log, also into tables of the version before, while these are brought up to date.

    Each method inserts all rows or none, and raises what the database raises.
    """

    def __init__(self, settings: Settings, use_case: UseCase) -> None:
        self._engine = get_engine(settings)
        self._use_case = use_case
        self._counter = PredictionCounter(self._engine, use_case)
        self.table_update = TableUpdate(lambda: update_prediction_tables(self._engine, use_case))

    def insert_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Insert what was reported of predictions."""
        self.table_update.start()
        insert_outcomes(self._engine, self._use_case, outcomes)

    def insert_refused_counts(self, counts: Sequence[RefusedCount]) -> None:
        """Insert counts of refused values."""
        self.table_update.start()
        insert_refused_counts(self._engine, self._use_case, counts)

    def insert_predictions(self, rows: Sequence[PredictionRow]) -> None:
        """Insert predictions, and count them by the bins of their version's reference profile."""
        self.table_update.start()
        up_to_date = self.table_update.done
        try:
            load_predictions(self._engine, self._use_case, rows, self._counter)
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
            load_predictions(self._engine, self._use_case, former, self._counter)


class Shipper:
    """Delivers one worker's folder, and folders that nobody holds, until the worker has ended.

    `lock` is the descriptor that holds the lock of the worker's `folder`.
    """

    def __init__(self, use_case_name: str, folder: Path, lock: int, delivery: Delivery) -> None:
        self._use_case_name = use_case_name
        self._folder = folder
        # By folder: the descriptor of its lock. The own folder comes first.
        self._locks = {folder: lock}
        self._delivery = delivery
        self._warnings: dict[Path, str] = {}
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
                self._adopt_at = time.monotonic() + _ADOPT_SECONDS
                self.adopt_folders()
            if time.monotonic() >= self._retry_at and self.deliver(is_ended=is_ended):
                break
            if is_ended:
                time.sleep(max(0.0, self._retry_at - time.monotonic()))

    def deliver(self, *, is_ended: bool) -> bool:
        """Deliver everything that is finished: whether nothing is left and the worker has ended. Where the
        rows are not taken, the reason is on record, and `run` tries again after a pause."""
        try:
            for folder in list(self._locks):
                self._deliver_folder(folder, is_ended=is_ended)
            self._delivery.settle(is_ended=is_ended)
            self._delivery.show_trouble("")
            if is_ended and self._folder in self._locks:  # last, because the counts of all are in it
                self._remove_folder(self._folder)
        except Exception as error:  # noqa: BLE001  whatever the database raises, the rows must not be lost
            self._show_trouble(error)
            self._retry_at = time.monotonic() + self._retry_delay
            self._retry_delay = min(_RETRY_SECONDS[1], 2 * self._retry_delay)
            return False
        self._retry_delay = _RETRY_SECONDS[0]
        self._retry_at = 0.0
        return is_ended

    def adopt_folders(self) -> None:
        """Lock the folders of this use case that nobody holds; `deliver` delivers them too."""
        for folder in list_spool_folders(self._folder.parent, self._use_case_name):
            if folder not in self._locks:
                try:
                    self._adopt_folder(folder)
                except FileNotFoundError:
                    continue  # another shipper has just removed it
                except OSError as error:
                    self._warn_once(folder, f"{folder} of an ended process cannot be taken over: {error}")

    def _compute_pause(self) -> float:
        now = time.monotonic()
        return max(0.0, min(1.0, self._retry_at - now) if self._retry_at > now else 1.0)

    def _deliver_folder(self, folder: Path, *, is_ended: bool) -> None:
        is_own = folder == self._folder
        try:
            while self._delivery.deliver_folder(folder, is_ended=is_ended or not is_own):
                if self._delivery.counts.trouble:
                    logger.info("MariaDB takes predictions again")
                self._delivery.show_trouble("")
            if not is_own:
                self._remove_folder(folder)
        except OSError as error:
            if is_own:
                raise
            # The others must not wait for it. It is taken over again later.
            self._warn_once(folder, f"{folder} of an ended process cannot be delivered: {error}")
            os.close(self._locks.pop(folder))

    def _show_trouble(self, error: Exception) -> None:
        text = error.message if isinstance(error, EvergreenError) else f"{type(error).__name__}: {error}"
        if not self._delivery.counts.trouble:
            logger.warning("predictions wait on disk now: %s", text)
        try:
            self._delivery.show_trouble(text)
        except OSError as disk_error:
            self._warn_once(self._folder, f"nor can the reason be put on record: {disk_error}")

    def _adopt_folder(self, folder: Path) -> None:
        lock = lock_folder(folder)
        if lock is None:
            return
        try:
            convert_former_segments(self._use_case_name, folder)
        except OSError:
            os.close(lock)
            raise
        self._locks[folder] = lock
        # Where the disk is full, the spool's policy spares this folder until it is taken over again.
        with suppress(OSError):
            os.close(open_private_file(folder / ENDED_NAME, os.O_WRONLY))

    def _remove_folder(self, folder: Path) -> None:
        """Remove a folder of which everything is delivered, and give up its lock."""
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        if all(name in (LOCK_NAME, COUNTS_NAME, ENDED_NAME) or _LEFTOVER.fullmatch(name) for name in names):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._warn_once(folder, f"{folder} holds files that are no segments; it stays")
        os.close(self._locks.pop(folder))

    def _warn_once(self, folder: Path, text: str) -> None:
        if self._warnings.get(folder) != text:
            self._warnings[folder] = text
            logger.warning("%s", text)


def build_shipper(settings: Settings, use_case: UseCase, folder: Path, lock: int) -> Shipper:
    """A shipper that delivers to the MariaDB of these settings."""
    inserter = LogInserter(settings, use_case)
    inserts = Inserts(inserter.insert_predictions, inserter.insert_outcomes, inserter.insert_refused_counts)
    refuse = partial(append_refused_row, folder.parent / f"{use_case.name}.refused.jsonl")
    return Shipper(use_case.name, folder, lock, Delivery(folder, inserts, is_row_at_fault, refuse))


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
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # They were blocked from the start; one that came meanwhile is gone by now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)
    os.nice(_NICENESS)
    end_after_worker(DRAIN_SECONDS)
    folder, lock = Path(sys.argv[1]), int(sys.argv[2])
    settings = load_settings()
    configure_shipper_log(settings)
    shipper = build_shipper(settings, load_use_case(settings.use_case, settings), folder, lock)
    # What was imported stays: collections need not look at it with every load of rows.
    gc.freeze()
    shipper.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
