"""One worker's share of a search, with its rows, its lock and its trials shown in MLflow."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from evergreen.model.matrix import select_rows
from evergreen.settings import Settings
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.candidate import choose_machine
from evergreen.training.data.dataset import prepare_training_set
from evergreen.training.data.rows import prepare_rows
from evergreen.training.data.split import split_for_validation
from evergreen.training.library_loading import start_loading_libraries
from evergreen.training.search.studies import open_study
from evergreen.training.search.trial import Trial, list_trials
from evergreen.training.search.worker import Progress, run_trials
from evergreen.training.tracking.trial_logger import TrialLogger
from evergreen.training.training_lock import hold_training_lock
from evergreen.usecase import UseCase


def run_worker_share(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    run: TrainingRun,
    worker: int,
    progress: Progress | None,
) -> Sequence[Trial]:
    """Run what is left of that worker's trials, and return all ended trials of that worker.

    The search fits on the training part of the first cut. `progress` is called after each trial. Raises
    TrainingError when another training of the use case holds the worker's lock for too long.
    """
    with hold_training_lock(database, run, worker):
        run, training_set = prepare_training_set(settings, database, use_case, run)
        rows = prepare_rows(use_case, training_set)
        train = rows.cuts[0].train
        with (
            open_study(settings, database, use_case, run) as study,
            TrialLogger(settings, database, run, worker, first=start_loading_libraries().join) as log_trials,
        ):

            def report(trial: Trial, least: float, done: int, total: int) -> None:
                log_trials(list_trials(study))
                if progress is not None:
                    progress(trial, least, done, total)

            run_trials(
                study,
                use_case,
                select_rows(rows.columns, train),
                rows.label[train],
                split_for_validation(use_case, rows.frame[train]),
                worker=worker,
                machine=choose_machine(settings, use_case),
                progress=report,
            )
            return [trial for trial in list_trials(study) if trial.worker == worker]
