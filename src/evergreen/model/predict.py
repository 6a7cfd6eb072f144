"""The one way from feature columns to predictions, whoever asks.

The service answers requests with it, batch scoring and file scoring predict tables with it, and training
judges candidates and replays logged requests with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from catboost import Pool

from evergreen.model.calibration import compute_shap_values
from evergreen.model.decision import choose_classes, read_class_weights
from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import Columns, build_pool
from evergreen.model.on_demand import add_on_demand_columns
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

# Below so many rows one thread predicts: starting CatBoost's threads costs more than a small prediction.
_ROWS_FOR_THREADS = 1000


@dataclass(frozen=True)
class Explanation:
    """The features' contributions to one row's prediction, in raw-score units (log-odds for classes).

    `contributions` stand in the order of their size, greatest first; with `base_value` they add up to the
    model's raw score of the predicted class, or to the predicted number.
    """

    prediction: str | float
    base_value: float
    contributions: dict[str, float]


def predict_pool(
    model: Any, pool: Pool, classes: Sequence[str] = (), weights: Sequence[float] = ()
) -> Predictions:
    """Predict the n rows of a CatBoost pool.

    `model` is a CatBoostClassifier whose probability columns are `classes`, or without classes a
    CatBoostRegressor. The predicted class is the most probable one, or with `weights` (what an error on each
    class costs) that of least expected cost.
    """
    threads = 1 if pool.num_row() < _ROWS_FOR_THREADS else -1
    if not classes:
        return Predictions(np.asarray(model.predict(pool, thread_count=threads), dtype=np.float64), None)
    shares = model.predict(pool, prediction_type="Probability", thread_count=threads)
    probabilities = np.asarray(shares, dtype=np.float64).reshape(pool.num_row(), len(classes))
    return decide_classes(probabilities, classes, weights)


def decide_classes(
    probabilities: np.ndarray, classes: Sequence[str], weights: Sequence[float] = ()
) -> Predictions:
    """Predictions from probabilities, of shape (n, classes) and float64, by the rule of `choose_classes`."""
    names: np.ndarray = np.array(classes, dtype=object)
    return Predictions(names[choose_classes(probabilities, weights)], probabilities, tuple(classes))


def predict_rows(use_case: UseCase, loaded: LoadedModel, columns: Columns) -> Predictions:
    """Predict n rows of stored features with a registered version.

    `columns`, each of shape (n,): float64 with NaN, or objects of str or None. The predictions carry the
    on-demand features. Raises StoreError when one of these fails.
    """
    all_columns = add_on_demand_columns(use_case, columns)
    pool = build_pool(use_case, all_columns)
    predictions = predict_pool(loaded.model, pool, loaded.classes, loaded.weights)
    on_demand = {feature.name: all_columns[feature.name] for feature in use_case.on_demand_order}
    return replace(predictions, on_demand=on_demand)


def predict_inputs(use_case: UseCase, model: Any, columns: Columns) -> Predictions:
    """Predict n rows whose `columns` hold the on-demand features too, with a fitted CatBoost model.

    The class weights are those that the model carries.
    """
    weights = read_class_weights(model) if use_case.label.classes else ()
    return predict_pool(model, build_pool(use_case, columns), use_case.label.classes, weights)


def explain_prediction(
    use_case: UseCase, loaded: LoadedModel, columns: Mapping[str, np.ndarray]
) -> Explanation:
    """SHAP values of one row for its predicted class (Lundberg et al., 2020, as CatBoost computes them).

    `columns` are those of `predict_rows`, each of shape (1,).
    """
    pool = build_pool(use_case, add_on_demand_columns(use_case, columns))
    (answer,) = predict_pool(loaded.model, pool, loaded.classes, loaded.weights).list_answers()
    values = compute_shap_values(loaded.model, pool, thread_count=1)[0]
    if values.ndim == 2:  # one row of values per class
        values = values[loaded.classes.index(str(answer.prediction))]
    elif loaded.classes and answer.prediction == loaded.classes[0]:
        values = -values  # a binary model scores its second class
    contributions = sorted(
        zip(loaded.feature_names, map(float, values[:-1]), strict=True), key=lambda pair: -abs(pair[1])
    )
    return Explanation(answer.prediction, float(values[-1]), dict(contributions))
