"""The calibration of a fitted model by rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evergreen.model.calibration import Calibration, fit_calibration
from evergreen.usecase import UseCase


def calibrate_model(
    use_case: UseCase, model: Any, pool: Any, truth: np.ndarray, class_weights: Sequence[float] = ()
) -> Calibration:
    """The calibration of a CatBoost model's raw scores on a pool, whose labels are `truth`, of shape (rows,).

    For regression it changes nothing. `class_weights` are those that the model was fitted with.
    """
    classes = use_case.label.classes
    if not classes:
        return Calibration(1.0, (0.0,))
    raw = np.asarray(model.predict(pool, prediction_type="RawFormulaVal"), dtype=np.float64)
    class_numbers = {name: index for index, name in enumerate(classes)}
    numbers = np.array([class_numbers[name] for name in truth], dtype=np.int64)
    return fit_calibration(raw, numbers, len(classes), class_weights)
