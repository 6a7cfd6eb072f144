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
    """A metric's name, whether less is better, and two functions to the value of each row, float64 of shape
    (n,): from labels, of shape (n,), and predictions; and from predictions alone, the value that their own
    probabilities lead one to expect (None for numbers, which come without)."""

    name: str
    less_is_better: bool
    compute: Callable[[np.ndarray, Predictions], Floats]
    expect: Callable[[Predictions], Floats] | None = None


def build_row_metric(use_case: UseCase, scale: float = 1.0) -> RowMetric:
    """The metric of rows that stands for the gate's.

    Accuracy, Brier score, log loss (also for every other metric of classes), absolute error, or squared error
    (for RMSE and R^2). Errors of numbers are divided by `scale`, such as the labels' standard deviation, so
    that a drop of 0.01 means the same for every use case.
    """
    metric = use_case.gate.metric
    if not use_case.label.classes:
        if metric == "mae":
            return RowMetric("mae", True, lambda label, scores: np.abs(_scale_errors(label, scores, scale)))
        return RowMetric(
            "squared error", True, lambda label, scores: np.square(_scale_errors(label, scores, scale))
        )
    if metric == "accuracy":
        return RowMetric(metric, False, _find_right_ones, _expect_right_ones)
    if metric == "brier":
        return RowMetric(
            metric, True, lambda label, scores: _compute_brier(use_case, label, scores), _expect_brier
        )
    return RowMetric(
        "log_loss", True, lambda label, scores: _compute_log_loss(use_case, label, scores), _expect_log_loss
    )


def _scale_errors(label: np.ndarray, scores: Predictions, scale: float) -> Floats:
    return np.asarray((scores.predictions - label) / scale, dtype=np.float64)


def _find_right_ones(label: np.ndarray, scores: Predictions) -> Floats:
    return np.asarray(scores.predictions == label, dtype=np.float64)


def _expect_right_ones(scores: Predictions) -> Floats:
    shares = scores.probability
    assert shares is not None
    return shares


def _compute_brier(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    return compute_brier_losses(find_class_numbers(use_case, label), _get_probabilities(scores))


def _expect_brier(scores: Predictions) -> Floats:
    shares = _get_probabilities(scores)
    expected = (shares * (1.0 - shares)).sum(axis=1)
    # Of two classes the Brier loss is that of the last one alone.
    return np.asarray(expected / 2.0 if shares.shape[1] == 2 else expected, dtype=np.float64)


def _compute_log_loss(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    truth = find_class_numbers(use_case, label)
    losses: Floats = _compute_surprises(scores)[np.arange(len(truth)), truth]
    return losses


def _expect_log_loss(scores: Predictions) -> Floats:
    return np.asarray((_get_probabilities(scores) * _compute_surprises(scores)).sum(axis=1), dtype=np.float64)


def _compute_surprises(scores: Predictions) -> Floats:
    """-log of each probability, in nats."""
    least = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(_get_probabilities(scores), least, 1.0 - least)), dtype=np.float64)


def _get_probabilities(scores: Predictions) -> Floats:
    assert scores.probabilities is not None
    return scores.probabilities
