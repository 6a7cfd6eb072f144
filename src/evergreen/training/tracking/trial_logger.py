"""Shows the trials of a search in MLflow while it goes on."""

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
    """The training's MLflow run, made if need be."""
    name = f"{run.use_case} as of {run.as_of:%Y-%m-%d %H:%M}"
    # Not the lock of promotions: a rollback must not wait for what is only shown.
    with lock_use_case(database, run.use_case, purpose="tracking"):
        return training_runs.begin_run(settings, run.use_case, run.id, run.dataset_digest or "", name)


def log_all_trials(settings: Settings, database: sa.Engine, run: TrainingRun, ended: Sequence[Trial]) -> None:
    """Show every ended trial that is not shown yet. Raises RegistryUnreachable."""
    parent = ensure_mlflow_run(settings, database, run)
    with lock_use_case(database, run.use_case, purpose="tracking"):
        trials.log_trials(settings, parent, ended)


class TrialLogger:
    """Shows one worker's trials in a thread, while it fits the next ones; others may be at work beside it.

    Used as a context: its end waits for what is left to show. A search does not wait for an MLflow that is
    away; what is missing then, `log_all_trials` adds. `first` is done in the thread before anything else.
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
        self._thread = ThreadPoolExecutor(1, "shows-trials")
        self._waiting: list[Future[object]] = [self._thread.submit(first)]
        self._parent = ""
        self._known: set[int] = set()

    def __call__(self, ended: Sequence[Trial]) -> None:
        """Show those of these trials that are not shown yet; returns at once."""
        self._waiting.append(self._thread.submit(self._show, ended))

    def __enter__(self) -> TrialLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:
            for each in self._waiting:
                each.result()

    def _show(self, ended: Sequence[Trial]) -> None:
        try:
            self._parent = self._parent or ensure_mlflow_run(self._settings, self._database, self._run)
            with lock_use_case(self._database, self._run.use_case, purpose="tracking"):
                self._known = trials.log_trials(
                    self._settings, self._parent, ended, self._known, self._worker
                )
        except RegistryUnreachable as error:
            self._known = set()  # what was done before it went away is asked for
            logger.warning("the trial is not shown in MLflow yet: %s", error.message)
