"""From stored features to predictions: the same few steps for one request, a batch and a whole file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from evergreen.model.calibration import compute_shap_values
from evergreen.model.decision import choose_classes
from evergreen.model.matrix import build_pool
from evergreen.model.on_demand import add_on_demand_columns
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from evergreen.model.loaded_model import LoadedModel


@dataclass(frozen=True)
class Predictions:
    """Predictions of n rows: class names or float64 values.

    For classes, `by_class` has their probabilities, of shape (n, classes), and `probability` that of the
    predicted class, of shape (n,): with class weights not always the greatest one. None for numbers.
    """

    predictions: list[str] | list[float]
    classes: tuple[str, ...] = ()
    by_class: npt.NDArray[np.float64] | None = None
    probability: npt.NDArray[np.float64] | None = None

    def answer(self, row: int) -> dict[str, Any]:
        """The fields `prediction`, and for classes `probability` and `probabilities`, of one row."""
        if self.by_class is None or self.probability is None:
            return {"prediction": self.predictions[row]}
        return {
            "prediction": self.predictions[row],
            "probability": float(self.probability[row]),
            "probabilities": dict(zip(self.classes, map(float, self.by_class[row]), strict=True)),
        }


def predict_rows(use_case: UseCase, loaded: LoadedModel, columns: Mapping[str, np.ndarray]) -> Predictions:
    """Predict n rows of stored features (Columns: float64 with NaN, object arrays of str or None).

    The predicted class is the most probable one, or with class weights that of least expected cost.
    Raises StoreError when an on-demand feature fails.
    """
    data = build_pool(use_case, add_on_demand_columns(use_case, columns))
    # One thread for few rows: starting CatBoost's threads costs more than a small prediction.
    threads = 1 if data.num_row() < 1000 else -1
    if not loaded.classes:
        values = loaded.model.predict(data, thread_count=threads)
        return Predictions([float(v) for v in values])
    shares = np.asarray(
        loaded.model.predict(data, prediction_type="Probability", thread_count=threads), dtype=np.float64
    ).reshape(data.num_row(), -1)
    classes = tuple(loaded.classes)
    chosen = choose_classes(shares, loaded.weights)
    return Predictions([classes[i] for i in chosen], classes, shares, shares[np.arange(len(chosen)), chosen])


def explain_prediction(
    use_case: UseCase, loaded: LoadedModel, columns: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """SHAP values of one row for its predicted class (Lundberg et al., 2020, as CatBoost computes them).

    In raw-score units, greatest effect first; with `base_value` they add up to the model's raw score.
    """
    features = add_on_demand_columns(use_case, columns)
    data = build_pool(use_case, features)
    outcome = predict_rows(use_case, loaded, columns)
    values = compute_shap_values(loaded.model, data, thread_count=1)[0]
    if values.ndim == 2:  # one row of values per class
        values = values[outcome.classes.index(str(outcome.predictions[0]))]
    elif outcome.classes and outcome.predictions[0] == outcome.classes[0]:
        values = -values  # a binary model scores its second class
    ranked = sorted(
        zip(loaded.feature_names, map(float, values[:-1]), strict=True), key=lambda pair: -abs(pair[1])
    )
    return {
        "prediction": outcome.predictions[0],
        "base_value": float(values[-1]),
        "contributions": dict(ranked),
    }
