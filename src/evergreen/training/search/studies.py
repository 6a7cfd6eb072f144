"""The storage of searches: Optuna's tables in the platform's MariaDB, one study for each training set.

A search that was killed goes on with the trials that it had, and workers on several machines share one study.
MLflow shows the trials (`training/tracking/trials.py`) but does not store the search: each step of Optuna's
storage would be several calls over HTTP there, a thousand in a search that prunes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage

from evergreen.drivers.choice import build_driver_options
from evergreen.errors import StoreError, StoreUnreachable
from evergreen.model.signature import compute_feature_digests
from evergreen.settings import Settings
from evergreen.store.connection.database import build_database_url
from evergreen.store.connection.locks import hold_lock
from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.records.training_run import TrainingRun
from evergreen.training.search.samplers import create_pruner
from evergreen.usecase import UseCase

_CREATE_SECONDS = 120.0
# Addresses, without passwords, of the databases whose Optuna tables this process found to be of its Optuna's
# version. For each check Optuna reads all of its migrations, and one training opens its study several times.
_checked_databases: set[str] = set()


@contextmanager
def open_study(
    settings: Settings, database: sa.Engine, use_case: UseCase, run: TrainingRun
) -> Iterator[optuna.Study]:
    """Open the study of that run's training set, and create it if there is none. Raises StoreUnreachable."""
    quiet_optuna()
    try:
        storage = _open_storage(settings, database)
        try:
            yield optuna.create_study(
                storage=storage,
                study_name=name_study(use_case, run),
                direction="minimize",
                pruner=create_pruner(use_case),
                load_if_exists=True,
            )
        finally:
            storage.remove_session()
            storage.engine.dispose()
    except optuna.exceptions.StorageInternalError as error:
        raise StoreUnreachable(
            f"the search of {use_case.name} could not be kept in MariaDB: {error.__cause__ or error}",
            hint="run the same training again: it goes on with the trials that were done",
        ) from error


def quiet_optuna() -> None:
    """Silence Optuna's log: `training/search/worker.py` has a line of its own for each trial."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def name_study(use_case: UseCase, run: TrainingRun) -> str:
    """The name of the study of that run.

    It holds a digest of everything that losses depend on: the rows, the features, the split and the budget.
    Losses of another digest belong to another search.
    """
    tuning = use_case.tuning
    conditions = (
        *(tuning.space, tuning.iterations, tuning.early_stopping_rounds, tuning.class_weights, tuning.seed),
        *(use_case.split, use_case.folds, use_case.holdout_share, use_case.label.classes),
        *([f.name for f in use_case.model_features], compute_feature_digests(use_case), run.dataset_digest),
    )
    return f"{use_case.name}:{run.id}:{hashlib.sha256(repr(conditions).encode()).hexdigest()[:16]}"


def delete_studies(settings: Settings, database: sa.Engine, use_case_name: str) -> None:
    """Delete the searches of a use case, so that training anew as of the same moments searches again."""
    names: list[str] = []
    with database.connect() as connection, ignore_missing_table():
        rows = connection.scalars(
            sa.text("SELECT study_name FROM studies WHERE study_name LIKE :mine"),
            {"mine": f"{use_case_name.replace('_', chr(92) + '_')}:%"},
        )
        names = list(rows)
    if not names:
        return
    storage = _open_storage(settings, database)
    try:
        for name in names:
            optuna.delete_study(study_name=name, storage=storage)
    finally:
        storage.engine.dispose()


def _open_storage(settings: Settings, database: sa.Engine) -> RDBStorage:
    # Under a lock: two processes that create Optuna's tables at once make one of them fail.
    with database.connect() as connection, hold_lock(connection, "optuna", _CREATE_SECONDS):
        url = build_database_url(settings)
        address = url.render_as_string()
        options = {"pool_recycle": 3600, "pool_size": 2, **build_driver_options(url)}
        try:
            storage = RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={**options, "hide_parameters": True},
                skip_compatibility_check=address in _checked_databases,
            )
        except RuntimeError as error:
            raise StoreError(
                f"Optuna's tables in MariaDB are of another version: {error}",
                hint="optuna storage upgrade --storage URL brings them up to date",
            ) from error
        _checked_databases.add(address)
        return storage
