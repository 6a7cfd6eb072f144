"""Trainings of one use case take turns: fits side by side would slow each other down and judge in vain."""

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
    """Be the only one at work on that worker's part of the use case's trainings; others wait.

    The workers of one search have a turn each, so they run side by side, and each waits for the same worker
    of another training; everything but a search is worker 0's. The lock is MariaDB's: it is free again when
    its holder dies. Raises TrainingError, naming who is at work,
    after `wait_seconds`.
    """
    name = f"evergreen.{database.url.database}.fit.{run.use_case}.{worker}"
    with database.connect() as connection:
        # Nothing is asked of it during a search of hours: the server must not end it for being idle.
        connection.exec_driver_sql(f"SET SESSION wait_timeout = {_IDLE_SECONDS}")
        _acquire_lock(database, connection, name, run, wait_seconds)
        try:
            yield
        finally:
            try:
                connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": name})
                connection.exec_driver_sql("SET SESSION wait_timeout = DEFAULT")
            except StoreUnreachable:  # the lock went with the connection; what was done is done
                logger.warning("MariaDB went away during the training of %s", run.use_case)


def _acquire_lock(
    database: sa.Engine, connection: sa.Connection, name: str, run: TrainingRun, wait_seconds: float
) -> None:
    began = time.monotonic()
    ask = 0.0
    while not connection.execute(
        sa.text("SELECT GET_LOCK(:name, :seconds)"), {"name": name, "seconds": ask}
    ).scalar():
        other = _describe_other_training(database, run)
        if time.monotonic() - began + ask >= wait_seconds:
            raise TrainingError(
                f"{run.use_case} is being trained already: {other}",
                hint="wait for it, or end it; then run this training again",
            )
        if ask == 0.0:
            logger.warning("waiting for another training of %s: %s", run.use_case, other)
        ask = min(_ASK_SECONDS, wait_seconds)


def _describe_other_training(database: sa.Engine, run: TrainingRun) -> str:
    """Who is at work, as far as the records say."""
    other = training_run.find_unfinished_run(database, run.use_case, besides=run.id)
    if other is None:
        return f"training run {run.id}, in another process"
    return f"training run {other.id} as of {other.as_of:%Y-%m-%d %H:%M} UTC ({other.status})"
