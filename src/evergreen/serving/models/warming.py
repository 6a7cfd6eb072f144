"""The first predictions of a model, made before it is in service."""

from __future__ import annotations

from catboost import CatBoostError

from evergreen.errors import ModelRefused, StoreError
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_rows
from evergreen.serving.http.examples import draw_requests
from evergreen.usecase import UseCase

# Single requests and micro-batches; the first calls of each size are the slow ones.
_BATCH_SIZES = (1, 64, 1, 64, 1, 64)


def warm_model(use_case: UseCase, loaded: LoadedModel) -> None:
    """Predict drawn rows with a model, alone and in batches. Raises ModelRefused when it cannot."""
    rows = draw_requests(use_case, max(_BATCH_SIZES), seed=loaded.version)
    try:
        for size in _BATCH_SIZES:
            predict_rows(use_case, loaded, build_columns_from_rows(use_case, rows[:size]))
    except (StoreError, CatBoostError) as error:
        reason = error.message if isinstance(error, StoreError) else str(error)
        raise ModelRefused(
            f"{use_case.name} version {loaded.version} cannot answer rows drawn from the declaration:"
            f" {reason}",
            hint=f"mend the declaration's functions, or train again: evergreen train {use_case.name}",
        ) from error
