"""The metric that evidence is made of: the mean of one value per row, as the governor has it of real answers.

It is not always the gate's: areas under curves and the like are no means over rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from evergreen.model.judging.metrics import compute_brier_losses, find_class_numbers
from evergreen.model.predictions import Predictions
from evergreen.monitoring.quality.learned import choose_row_metric
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
    """The metric of `choose_row_metric`: accuracy, log loss or Brier loss for classes; for numbers the
    absolute error divided by `scale`, the standard deviation of the labels, so that a drop of 0.01 means
    about as much for every use case."""
    metric = choose_row_metric(use_case)
    if metric == "accuracy":
        return RowMetric(metric, False, _find_right_ones, _expect_right_ones)
    if metric == "log_loss":
        return RowMetric(metric, True, partial(_compute_log_loss, use_case), _expect_log_loss)
    if metric == "brier":
        return RowMetric(metric, True, partial(_compute_brier, use_case), _expect_brier)
    return RowMetric(metric, True, lambda label, scores: np.abs(scores.predictions - label) / scale)


def _find_right_ones(label: np.ndarray, scores: Predictions) -> Floats:
    return np.asarray(scores.predictions == label, dtype=np.float64)


def _expect_right_ones(scores: Predictions) -> Floats:
    shares = scores.probability
    assert shares is not None
    return shares


def _compute_brier(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    assert scores.probabilities is not None
    return compute_brier_losses(find_class_numbers(use_case, label), scores.probabilities)


def _expect_brier(scores: Predictions) -> Floats:
    """Of two classes, whose Brier loss is that of the last one."""
    assert scores.probabilities is not None
    share = scores.probabilities[:, -1]
    return np.asarray(share * (1.0 - share), dtype=np.float64)


def _compute_log_loss(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Floats:
    truth = find_class_numbers(use_case, label)
    losses: Floats = _compute_surprises(scores)[np.arange(len(truth)), truth]
    return losses


def _expect_log_loss(scores: Predictions) -> Floats:
    assert scores.probabilities is not None
    return np.asarray((scores.probabilities * _compute_surprises(scores)).sum(axis=1), dtype=np.float64)


def _compute_surprises(scores: Predictions) -> Floats:
    """-log of each probability, in nats."""
    assert scores.probabilities is not None
    least = np.finfo(np.float64).eps
    return np.asarray(-np.log(np.clip(scores.probabilities, least, 1.0 - least)), dtype=np.float64)
