"""The data set of a training run: chosen once, and the very same rows in every later step."""

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
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


def prepare_training_set(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun
) -> tuple[TrainingRun, TrainingSet]:
    """Read the run's training set: the first time as the store is now, and ever after as it was then.

    So rows that arrive meanwhile change nothing. The run begins anew, with what the store holds now, only
    where its rows cannot be had again: the declaration asks for others, their history has expired, or
    somebody changed the tables behind Evergreen's back. Raises EmptyTrainingSet, NotEnoughData.
    """
    found, why = reread_training_set(settings, database, use_case, run)
    if found is not None:
        return run, found
    if run.dataset_digest is not None:
        logger.warning(
            "the training set of %s as of %s cannot be read again: %s; beginning anew",
            *(use_case.name, run.as_of.isoformat(), why),
        )
    found = _read(settings, database, use_case, run)
    _check(use_case, found)  # before it is put on record: what is mended in the source shall count
    run = training_run.update_training_run(
        database,
        run.id,
        status="prepared",
        dataset_digest=found.digest,
        dataset_rows=len(found),
        dataset_query=found.query.to_json(),
        dataset_read_at=found.read_at,
        params=None,
    )
    return run, found


def _check(use_case: UseCase, found: TrainingSet) -> None:
    """Raise NotEnoughData if those rows cannot be divided, or tell a model nothing."""
    frame = found.frame
    parts = split_training_set(use_case, frame)
    check_inputs(use_case, add_on_demand_columns(use_case, build_columns_from_frame(frame, use_case)))
    split_for_validation(use_case, frame[parts[0].train])


def reread_training_set(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun
) -> tuple[TrainingSet | None, str]:
    """The training set that the run has on record, or None and why it cannot be had."""
    if run.dataset_read_at is None:
        return None, "it is not on record"
    if build_query(use_case, run.as_of, _compute_window_start(use_case, run)).to_json() != run.dataset_query:
        return None, "the declaration asks for other columns or another window"
    try:
        found = _read(settings, database, use_case, run, run.dataset_read_at)
    except HistoryExpired as error:
        return None, error.message
    except EmptyTrainingSet:
        return None, "its rows are gone"
    if found.digest != run.dataset_digest:
        return None, f"its rows have changed ({run.dataset_rows} before, {len(found)} now)"
    return found, ""


def _read(
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
        _compute_window_start(use_case, run),
        read_at=read_at,
        cache=settings.cache_folder if settings.cache_mb else None,
        cache_mb=settings.cache_mb,
    )


def _compute_window_start(use_case: UseCase, run: TrainingRun) -> datetime | None:
    window = use_case.retrain.window
    return run.as_of - window if window else None
