"""The training set of a training run: read once, and the same rows in every later step."""

from __future__ import annotations

import logging
from datetime import datetime

import sqlalchemy as sa

from evergreen.errors import EmptyTrainingSet, HistoryExpired
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.settings import Settings
from evergreen.store.history.query import build_query
from evergreen.store.history.training_set import TrainingSet, read_training_set
from evergreen.store.records import training_run
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.data.checks import check_inputs
from evergreen.training.data.split import split_for_validation, split_training_set
from evergreen.training.data.training_window import TrainingWindow
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


def prepare_training_set(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun
) -> tuple[TrainingRun, TrainingSet]:
    """Read the run's training set: the first time as the store is now, later as it was at that first time.

    Rows that arrive meanwhile therefore change nothing. The run begins anew, with what the store holds now,
    only where its rows cannot be read again: the declaration asks for others, their history has expired, or
    the tables were changed past Evergreen. Raises EmptyTrainingSet, NotEnoughData.
    """
    training_set, cause = reread_training_set(settings, database, use_case, run)
    if training_set is not None:
        return run, training_set
    if run.dataset_digest is not None:
        logger.warning(
            "the training set of %s as of %s cannot be read again: %s; beginning anew",
            *(use_case.name, run.as_of.isoformat(), cause),
        )
    training_set = _read_training_set(settings, database, use_case, run)
    # Before it is on record: a source that is corrected after this error is then read anew.
    _check_training_set(use_case, training_set)
    run = training_run.update_training_run(
        database,
        run.id,
        status="prepared",
        dataset_digest=training_set.digest,
        dataset_rows=len(training_set),
        dataset_query=training_set.query.to_json(),
        dataset_read_at=training_set.read_at,
        params=None,
    )
    return run, training_set


def _check_training_set(use_case: UseCase, training_set: TrainingSet) -> None:
    """Raise NotEnoughData if those rows cannot be divided, or a model can learn nothing from them."""
    frame = training_set.frame
    cuts = split_training_set(use_case, frame)
    check_inputs(use_case, add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case)))
    split_for_validation(use_case, frame[cuts[0].train])


def reread_training_set(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun
) -> tuple[TrainingSet | None, str]:
    """The training set that the run has on record and "", or None and why it cannot be read."""
    if run.dataset_read_at is None:
        return None, "it is not on record"
    if build_query(use_case, run.as_of, compute_window_start(use_case, run)).to_json() != run.dataset_query:
        return None, "the declaration asks for other columns or another window"
    try:
        training_set = _read_training_set(settings, database, use_case, run, run.dataset_read_at)
    except HistoryExpired as error:
        return None, error.message
    except EmptyTrainingSet:
        return None, "its rows are gone"
    if training_set.digest != run.dataset_digest:
        return None, f"its rows have changed ({run.dataset_rows} before, {len(training_set)} now)"
    return training_set, ""


def _read_training_set(
    settings: Settings,
    database: sa.Engine,
    use_case: UseCase,
    run: TrainingRun,
    read_at: datetime | None = None,
) -> TrainingSet:
    return read_training_set(
        database,
        use_case,
        run.as_of,
        compute_window_start(use_case, run),
        read_at=read_at,
        cache=settings.cache_folder if settings.cache_mb else None,
        cache_mb=settings.cache_mb,
    )


def compute_window_start(use_case: UseCase, run: TrainingRun) -> datetime | None:
    """After which event time (aware UTC) the run's labels count: as was chosen for it, else as declared; None
    for all."""
    if run.training_window is not None:
        return TrainingWindow.from_json(run.training_window).start
    window = use_case.retrain.fixed_window
    return run.as_of - window if window else None
