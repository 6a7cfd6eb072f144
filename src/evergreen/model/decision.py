"""The rule by which probabilities become the predicted class, for every prediction of the program.

Where classes are weighted, a model is fitted with the weights and its probabilities are calibrated back to
the true shares. The prediction is then the class of the greatest weighted probability, which costs least when
an error on a row of class c costs its weight (Elkan, "The foundations of cost-sensitive learning", 2001).
Without weights it is the most probable class. The weights are part of the model's file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_WEIGHTS = "evergreen.class_weights"


def set_class_weights(model: Any, weights: Sequence[float]) -> None:
    """Write class weights, in the order of the model's classes, into a fitted CatBoost model."""
    model.get_metadata()[_WEIGHTS] = json.dumps(list(weights))


def read_class_weights(model: Any) -> tuple[float, ...]:
    """The class weights that were written into a model; empty where an error on each class costs the same."""
    metadata = model.get_metadata()
    return tuple(json.loads(metadata[_WEIGHTS])) if _WEIGHTS in metadata else ()


def choose_classes(
    probabilities: npt.NDArray[np.float64], weights: Sequence[float] = ()
) -> npt.NDArray[np.int64]:
    """The number of the predicted class in each row of (n, classes) probabilities, of shape (n,).

    The first of several equal ones.
    """
    weighted = probabilities * np.asarray(weights, dtype=np.float64) if weights else probabilities
    return np.asarray(weighted.argmax(axis=1), dtype=np.int64)
