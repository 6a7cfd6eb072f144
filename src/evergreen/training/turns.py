"""Trainings of one use case take turns: fits side by side would slow each other down and judge in vain."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from evergreen.errors import TrainingError
from evergreen.store.connection.locks import hold_lock
from evergreen.store.records import training_run
from evergreen.store.records.training_run import TrainingRun

logger = logging.getLogger(__name__)

WAIT_SECONDS = 3_600.0


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

    def log_wait() -> None:
        logger.warning(
            "waiting for another training of %s: %s", run.use_case, _describe_other_training(database, run)
        )

    def build_refusal() -> TrainingError:
        return TrainingError(
            f"{run.use_case} is being trained already: {_describe_other_training(database, run)}",
            hint="wait for it, or end it; then run this training again",
        )

    # Nothing is asked of the connection during a search of hours.
    with (
        database.connect() as connection,
        hold_lock(
            connection,
            f"fit.{run.use_case}.{worker}",
            wait_seconds,
            idle=True,
            on_wait=log_wait,
            build_refusal=build_refusal,
        ),
    ):
        yield


def _describe_other_training(database: sa.Engine, run: TrainingRun) -> str:
    """Who is at work, as far as the records say."""
    other = training_run.find_unfinished_run(database, run.use_case, besides=run.id)
    if other is None:
        return f"training run {run.id}, in another process"
    return f"training run {other.id} as of {other.as_of:%Y-%m-%d %H:%M} UTC ({other.status})"
