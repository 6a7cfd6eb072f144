"""The metric that evidence is made of: a mean of one value per row, near to the metric of the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.model.judging.metrics import compute_brier_losses, find_class_numbers
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RowMetric:
    """The metric's name, whether less is better, and the function from labels, of shape (n,), and predictions
    to the value of each row, float64 of shape (n,)."""

    name: str
    less_is_better: bool
    compute: Callable[[np.ndarray, Predictions], Floats]


def build_row_metric(use_case: UseCase, scale: float = 1.0) -> RowMetric:
    """The metric of rows that stands for the gate's.

    Accuracy, Brier score, log loss (also for every other metric of classes), absolute error, or squared error
    (for RMSE and R^2). Errors of numbers are divided by `scale`, such as the labels' standard deviation, so
    that a drop of 0.01 means the same for every use case.
    """
    if not use_case.label.classes:
        if use_case.gate.metric == "mae":
            return RowMetric("mae", True, lambda label, scores: np.abs(_scale_errors(label, scores, scale)))
        return RowMetric(
            "squared error", True, lambda label, scores: np.square(_scale_errors(label, scores, scale))
        )
    if use_case.gate.metric == "accuracy":
        return RowMetric("accuracy", False, lambda label, scores: _is_right(label, scores))
    if use_case.gate.metric == "brier":
        return RowMetric("brier", True, lambda label, scores: _compute_brier(use_case, label, scores))
    return RowMetric("log_loss", True, lambda label, scores: _compute_log_loss(use_case, label, scores))


def _scale_errors(label: np.ndarray, scores: Predictions, scale: float) -> Floats:
    return np.asarray((scores.predictions - label) / scale, dtype=np.float64)


def _is_right(label: np.ndarray, scores: Predictions) -> Floats:
    return np.asarray(scores.predictions == label, dtype=np.float64)


def _compute_brier(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    assert scores.probabilities is not None
    return compute_brier_losses(find_class_numbers(use_case, label), scores.probabilities)


def _compute_log_loss(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    assert scores.probabilities is not None
    truth, least = find_class_numbers(use_case, label), np.finfo(np.float64).eps
    shares = scores.probabilities[np.arange(len(truth)), truth]
    return np.asarray(-np.log(np.clip(shares, least, 1.0 - least)), dtype=np.float64)
