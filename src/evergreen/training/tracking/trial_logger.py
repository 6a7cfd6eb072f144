"""Logs the trials of a search to MLflow while it goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import sqlalchemy as sa

from evergreen.errors import RegistryUnreachable
from evergreen.registry.lock import lock_use_case
from evergreen.settings import Settings
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.search.trial import Trial
from evergreen.training.tracking import training_runs, trials

logger = logging.getLogger(__name__)


def ensure_mlflow_run(settings: Settings, database: sa.Engine, run: TrainingRun) -> str:
    """The id of the training's MLflow run, which is created if there is none."""
    name = f"{run.use_case} as of {run.as_of:%Y-%m-%d %H:%M}"
    # A lock of its own, not that of promotions: a rollback must not wait for MLflow's logging.
    with lock_use_case(database, run.use_case, purpose="tracking"):
        return training_runs.begin_run(settings, run.use_case, run.id, run.dataset_digest or "", name)


def log_all_trials(settings: Settings, database: sa.Engine, run: TrainingRun, ended: Sequence[Trial]) -> None:
    """Log every ended trial that is not in MLflow yet. Raises RegistryUnreachable."""
    parent = ensure_mlflow_run(settings, database, run)
    with lock_use_case(database, run.use_case, purpose="tracking"):
        trials.log_trials(settings, parent, ended)


class TrialLogger:
    """Logs one worker's trials in a thread while the worker fits the next ones; other workers may do so too.

    Used as a context manager, whose end waits for the trials that are not logged yet. A search does not wait
    for an MLflow that cannot be reached; `log_all_trials` adds what is missing then. `first` is called in the
    thread before anything else.
    """

    def __init__(
        self,
        settings: Settings,
        database: sa.Engine,
        run: TrainingRun,
        worker: int,
        first: Callable[[], object],
    ) -> None:
        self._settings, self._database, self._run = settings, database, run
        self._worker = worker
        self._thread = ThreadPoolExecutor(1, "log-trials")
        self._pending: list[Future[object]] = [self._thread.submit(first)]
        self._parent_run = ""
        self._logged_numbers: set[int] = set()

    def __call__(self, ended: Sequence[Trial]) -> None:
        """Log those of these trials that are not logged yet; returns at once."""
        self._pending.append(self._thread.submit(self._log, ended))

    def __enter__(self) -> TrialLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            for each in self._pending:
                each.result()

    def _log(self, ended: Sequence[Trial]) -> None:
        try:
            self._parent_run = self._parent_run or ensure_mlflow_run(
                self._settings, self._database, self._run
            )
            with lock_use_case(self._database, self._run.use_case, purpose="tracking"):
                self._logged_numbers = trials.log_trials(
                    self._settings, self._parent_run, ended, self._logged_numbers, self._worker
                )
        except RegistryUnreachable as error:
            self._logged_numbers = set()  # unknown now: the next call asks MLflow
            logger.warning("the trial is not shown in MLflow yet: %s", error.message)
