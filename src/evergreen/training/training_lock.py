"""The lock that lets trainings of one use case run one after the other.

Side by side their fits would slow each other down, and the later one would be compared with a champion that
the earlier one is about to replace.
"""

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
    """Hold the use case's training lock of that worker; other processes that ask for it wait.

    Each worker of a search has a lock of its own, so that the workers of one search run side by side, and
    each waits for the same worker of another training. All steps but the search take worker 0's. The lock is
    MariaDB's: it is free again when its holder dies. Raises TrainingError, naming the training at work, after
    `wait_seconds`.
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
    """The training that holds the lock, as far as the records say."""
    other = training_run.find_unfinished_run(database, run.use_case, besides=run.id)
    if other is None:
        return f"training run {run.id}, in another process"
    return f"training run {other.id} as of {other.as_of:%Y-%m-%d %H:%M} UTC ({other.status})"
