"""The lock that lets trainings of one use case run one after the other.

Side by side their fits would slow each other down, and the later one would be compared with a champion that
the earlier one is about to replace.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from evergreen.errors import StoreUnreachable, TrainingError
from evergreen.store.records import training_run
from evergreen.store.records.training_run import TrainingRun

logger = logging.getLogger(__name__)

WAIT_SECONDS = 3_600.0
_ASK_SECONDS = 5.0
_IDLE_SECONDS = 30 * 86_400


@contextmanager
def hold_training_lock(
    database: sa.Engine, run: TrainingRun, worker: int = 0, wait_seconds: float = WAIT_SECONDS
) -> Iterator[None]:
    """Hold the use case's training lock of that worker; other processes that ask for it wait.

    Each worker of a search has a lock of its own, so that the workers of one search run side by side, and
    each waits for the same worker of another training. All steps but the search take worker 0's. The lock is
    MariaDB's: it is free again when its holder dies. Raises TrainingError, naming the training at work, after
    `wait_seconds`.
    """
    name = f"evergreen.{database.url.database}.fit.{run.use_case}.{worker}"
    with database.connect() as connection:
        # The connection is idle during a search of hours, and the server must not close it for that.
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {_IDLE_SECONDS}")
        _acquire_lock(database, connection, name, run, wait_seconds)
        try:
            yield
        finally:
            try:
                connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": name})
                connection.exec_driver_sql("SET SESSION wait_timeout = DEFAULT")
            except StoreUnreachable:  # the lock ended with the connection; the work itself is done
                logger.warning("MariaDB went away during the training of %s", run.use_case)


def _acquire_lock(
    database: sa.Engine, connection: sa.Connection, name: str, run: TrainingRun, wait_seconds: float
) -> None:
    start = time.monotonic()
    timeout = 0.0
    while not connection.execute(
        sa.text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": timeout}
    ).scalar():
        other = _describe_other_training(database, run)
        if time.monotonic() - start + timeout >= wait_seconds:
            raise TrainingError(
                f"{run.use_case} is being trained already: {other}",
                hint="wait for it, or end it; then run this training again",
            )
        if timeout == 0.0:
            logger.warning("waiting for another training of %s: %s", run.use_case, other)
        timeout = min(_ASK_SECONDS, wait_seconds)


def _describe_other_training(database: sa.Engine, run: TrainingRun) -> str:
    """The training that holds the lock, as far as the records say."""
    other = training_run.find_unfinished_run(database, run.use_case, besides=run.id)
    if other is None:
        return f"training run {run.id}, in another process"
    return f"training run {other.id} as of {other.as_of:%Y-%m-%d %H:%M} UTC ({other.status})"
