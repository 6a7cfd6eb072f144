"""The metric that evidence is made of: the mean of one value per row, as the governor has it of real answers.

It is not always the gate's: areas under curves and the like are no means over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowMetric:
    """A metric's name, whether less is better, and two functions to the value of each row, float64 of shape
    (n,): from labels, of shape (n,), and predictions; and from predictions alone, the value that their own
    probabilities lead one to expect (None for numbers, which come without)."""

    name: str
    less_is_better: bool
    compute: Callable[[np.ndarray, Predictions], Floats]
    expect: Callable[[Predictions], Floats] | None = None


def build_row_metric(use_case: UseCase, scale: float = 1.0) -> RowMetric:
    """Accuracy for classes; for numbers the absolute error divided by `scale`, the standard deviation of the
    labels, so that a drop of 0.01 means about as much for every use case."""
    if use_case.label.classes:
        return RowMetric("accuracy", False, _find_right_ones, _expect_right_ones)
    return RowMetric("mae", True, lambda label, scores: np.abs(scores.predictions - label) / scale)


def _find_right_ones(label: np.ndarray, scores: Predictions) -> Floats:
    return np.asarray(scores.predictions == label, dtype=np.float64)


def _expect_right_ones(scores: Predictions) -> Floats:
    shares = scores.probability
    assert shares is not None
    return shares
