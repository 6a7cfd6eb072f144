"""Small models for the service under test: good ones, and challengers that must not stay.

They are fitted on rows drawn from the declaration, whose label follows from one number with noise.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from benchmarks.serving.champion import register_champion
from benchmarks.serving.world import World

from evergreen.model.golden_rows import build_golden_rows
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.model.signature import compute_signature_digest
from evergreen.registry.models import load_model
from evergreen.serving.http.examples import draw_requests
from evergreen.settings import Settings
from evergreen.store.connection.database import get_engine
from evergreen.store.records.model_record import ModelRecord, save_model_record
from evergreen.usecase import UseCase

_ROWS, _ROWS_SEED = 1_500, 5
# So skewed, nearly all rows have the first class: far beyond what a trial's limits allow.
WRONG_SKEW = 12.0


def fit_model(use_case: UseCase, seed: int, skew: float = 1.0) -> Any:
    """A small CatBoostClassifier, another one for each `seed`. A `skew` above 1 makes later classes rarer."""
    from catboost import CatBoostClassifier

    columns = _build_columns(use_case)
    driver = columns[next(f.name for f in use_case.stored_features if f.numeric and not f.nullable)]
    noise = np.random.default_rng(seed).normal(0, driver.std(), _ROWS)
    ranks = (driver + noise).argsort().argsort()
    names = np.array(use_case.label.classes, dtype=object)
    target = names[((ranks / _ROWS) ** skew * len(names)).astype(int)]
    model = CatBoostClassifier(
        iterations=20 * seed,
        depth=4,
        loss_function="MultiClass",
        class_names=list(names),
        thread_count=1,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
    )
    return model.fit(build_pool(use_case, columns, target))


def register_model(
    world: World, seed: int, skew: float = 1.0, *, settings: Settings | None = None, name: str = ""
) -> int:
    """Fit and register a model as a training does, with its record in MariaDB; returns its version.

    `settings` and a `name` for a folder of its own register it with another MLflow.
    """
    chosen = settings or world.settings
    folder = world.folder / name
    folder.mkdir(exist_ok=True)
    version = register_champion(chosen, world.use_case, fit_model(world.use_case, seed, skew), folder)
    loaded = load_model(chosen, world.use_case, version)
    record = ModelRecord(
        use_case=world.use_case.name,
        version=version,
        run_id=loaded.run_id,
        digest=loaded.digest,
        size_bytes=loaded.size_bytes,
        signature_digest=compute_signature_digest(loaded.model),
        golden_rows=build_golden_rows(world.use_case, loaded.model, _build_columns(world.use_case)),
        recorded_at=datetime.now(UTC),
    )
    save_model_record(get_engine(chosen), record)
    return version


def _build_columns(use_case: UseCase) -> dict[str, Any]:
    rows = draw_requests(use_case, _ROWS, _ROWS_SEED)
    return dict(add_on_demand_columns(use_case, build_columns_from_rows(use_case, rows)))
