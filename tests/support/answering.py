"""The service's answers in this process: a small model in a Runtime, without registry, store or server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
from catboost import CatBoostClassifier
from prometheus_client import CollectorRegistry

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_rows
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.models.slot import ServedModel
from evergreen.serving.predictions.record import (
    PredictionRecord,
    build_segment_schema,
    decode_record,
    list_outcomes,
    list_prediction_rows,
)
from evergreen.serving.runtime import Runtime
from evergreen.settings import Settings
from evergreen.usecase import UseCase


def fit(use_case: UseCase, weights: tuple[float, ...] = (), seed: int = 1) -> LoadedModel:
    """A model of a use case with classes, fitted on 300 drawn rows; `weights` are the classes' costs."""
    columns = build_columns_from_rows(use_case, draw_requests(use_case, 300, seed))
    classes = use_case.label.classes
    driver = next(columns[f.name] for f in use_case.stored_features if f.numeric and not f.nullable)
    ranks = (driver + np.random.default_rng(seed).normal(0, driver.std(), 300)).argsort().argsort()
    model = CatBoostClassifier(
        iterations=15,
        depth=3,
        class_names=list(classes),
        thread_count=1,
        verbose=False,
        allow_writing_files=False,
    )
    target = np.array(classes, dtype=object)[ranks * len(classes) // 300]
    model.fit(build_pool(use_case, add_on_demand_columns(use_case, columns), target))
    return LoadedModel(1, "run", model, tuple(model.feature_names_), classes, weights)


def answering(
    settings: Settings,
    use_case: UseCase,
    loaded: LoadedModel,
    logged: list[Any],
    registry: CollectorRegistry | None = None,
) -> Runtime:
    """A runtime with that model in service, whose logged rows go to the list `logged`."""
    runtime = Runtime(settings, use_case, registry or CollectorRegistry())
    served = ServedModel(loaded, None, datetime(2026, 6, 1, tzinfo=UTC))
    runtime.slot = SimpleNamespace(require=lambda: served, current=served)  # type: ignore[assignment]

    schema = build_segment_schema(use_case)

    def append(records: Sequence[bytes], rows: int) -> None:
        for record in map(decode_record, records):
            if isinstance(record, PredictionRecord):
                logged.extend(list_prediction_rows(schema, record))
            else:
                logged.extend(list_outcomes(record))

    runtime.spool.append = append  # type: ignore[method-assign]
    return runtime
