"""From probabilities to the predicted class: the same rule wherever a model answers.

Where classes are weighted, a model is fitted with the weights and its probabilities are calibrated back to
the true shares; the answer is then the class of the greatest weighted probability, which costs least when an
error on a row of class c costs its weight (Elkan, "The foundations of cost-sensitive learning", 2001).
Without weights it is the most probable class. The weights travel in the model's file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_WEIGHTS = "evergreen.class_weights"


def set_class_weights(model: Any, weights: Sequence[float]) -> None:
    """Keep class weights, in the order of the model's classes, in a fitted CatBoost model."""
    model.get_metadata()[_WEIGHTS] = json.dumps(list(weights))


def read_class_weights(model: Any) -> tuple[float, ...]:
    """The class weights that a model carries; none if its classes count the same."""
    found = model.get_metadata()
    return tuple(json.loads(found[_WEIGHTS])) if _WEIGHTS in found else ()


def choose_classes(
    probabilities: npt.NDArray[np.float64], weights: Sequence[float] = ()
) -> npt.NDArray[np.int64]:
    """The place of the predicted class in each row of (n, classes) probabilities; of equals the first."""
    weighted = probabilities * np.asarray(weights, dtype=np.float64) if weights else probabilities
    return np.asarray(weighted.argmax(axis=1), dtype=np.int64)
