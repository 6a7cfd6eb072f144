"""Metrics of predictions, the same for candidate, champion and baseline.

`model/judging/resampling.py` computes the same numbers under resamples of the rows.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Collection, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from evergreen.errors import TrainingError
from evergreen.model.predictions import Predictions
from evergreen.usecase import Problem, UseCase

_CLASS_METRICS = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1"),
    *("log_loss", "roc_auc", "pr_auc", "brier", "calibration_error"),
)
METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": _CLASS_METRICS,
    "multiclass": _CLASS_METRICS,
    "regression": ("mae", "rmse", "r2"),
}
LESS_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "mae", "rmse"})

# Bins of the calibration error, as in Guo et al. (On Calibration of Modern Neural Networks, ICML 2017).
CALIBRATION_BINS = 15

Computations = dict[str, Callable[[], float]]


class ReliabilityBin(TypedDict):
    """Rows of similar confidence (the predicted class's probability): mean, share of right ones, number."""

    confidence: float
    accuracy: float
    rows: int


def check_metric(use_case: UseCase) -> None:
    """Raise TrainingError, before a training, when the gate names a metric that the problem does not have."""
    metrics = METRICS[use_case.problem]
    gate = use_case.gate
    for metric in (gate.metric, *(floor.metric for floor in gate.floors)):
        if metric not in metrics:
            near = difflib.get_close_matches(metric, metrics, n=1)
            raise TrainingError(
                f"the gate of {use_case.name} asks for {metric!r}, "
                f"which a {use_case.problem} problem does not have",
                hint=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(metrics)}",
            )
    if gate.calibration_error is not None and "calibration_error" not in metrics:
        raise TrainingError(
            f"the gate of {use_case.name} limits the calibration error, which a number does not have",
            hint="leave calibration_error out of the gate",
        )


def compute_metrics(
    use_case: UseCase, label: np.ndarray, scores: Predictions, names: Collection[str] | None = None
) -> dict[str, float]:
    """The metrics of those `names` (None: all of `METRICS` for the problem), by scikit-learn, in the order of
    `METRICS`; one that is undefined here is left out.

    `label`, of shape (n,): class names, or numbers for regression. Precision, recall, F1, ROC AUC and average
    precision (`pr_auc`) are those of the last declared class in a binary problem, and means over the classes,
    each against the rest, in a multiclass problem; the first three are 0 where nothing was predicted or true.
    `balanced_accuracy` is the mean recall of the classes present. `log_loss` is in nats. `brier` is the mean
    of (p - y)^2 for the last class, or of its sum over the classes (Brier, Monthly Weather Review, 1950).
    `calibration_error` is the expected calibration error (Guo et al., ICML 2017): how far the confidence in
    the predicted class is from the share of right answers, over 15 bins of equal width.

    ROC AUC is undefined without rows of and beside each class, average precision without rows of it, R^2
    where the label is constant. Raises TrainingError for a class that is not declared.
    """
    if scores.probabilities is None:
        computations = _prepare_regression_metrics(np.asarray(label, dtype=np.float64), scores.predictions)
    else:
        computations = _prepare_class_metrics(use_case, label, scores, scores.probabilities)
    values = {
        name: float(computations[name]())
        for name in METRICS[use_case.problem]
        if name in computations and (names is None or name in names)
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}


def compute_reliability_bins(
    use_case: UseCase, label: np.ndarray, scores: Predictions, bins: int = CALIBRATION_BINS
) -> list[ReliabilityBin]:
    """The data of a reliability diagram (Guo et al., 2017): the bins with rows, by rising confidence.

    `label`, of shape (n,): class names. Empty for regression.
    """
    if scores.probabilities is None:
        return []
    predicted_class = find_class_numbers(use_case, scores.predictions)
    confidence, numbers = compute_confidence_bins(scores.probabilities, predicted_class, bins)
    right = label.astype(str) == scores.predictions.astype(str)
    reliability_bins: list[ReliabilityBin] = []
    for number in np.unique(numbers):
        rows = numbers == number
        reliability_bins.append(
            {
                "confidence": float(confidence[rows].mean()),
                "accuracy": float(right[rows].mean()),
                "rows": int(rows.sum()),
            }
        )
    return reliability_bins


def find_class_numbers(use_case: UseCase, names: np.ndarray) -> npt.NDArray[np.intp]:
    """The place of each name among the declared classes; both of shape (n,).

    Raises TrainingError naming one that is not declared.
    """
    classes = use_case.label.classes
    class_numbers = pd.Index(list(classes), dtype=object).get_indexer(
        pd.Index(names.astype(str), dtype=object)
    )
    if (class_numbers < 0).any():
        raise TrainingError(
            f"{use_case.name} does not declare the class {str(names[class_numbers < 0][0])!r}",
            hint=f"its label's classes are {', '.join(classes)}",
        )
    return np.asarray(class_numbers, dtype=np.intp)


def compute_confidence_bins(
    probabilities: npt.NDArray[np.float64],
    predicted_class: npt.NDArray[np.intp],
    bins: int = CALIBRATION_BINS,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """The probability of each row's predicted class and its bin's number, both of shape (n,).

    `predicted_class`, of shape (n,), holds class numbers; with class weights it need not be the most probable
    one. Bin m of `bins` is (m / bins, (m + 1) / bins], as in Guo et al. (2017).
    """
    confidence = probabilities[np.arange(len(predicted_class)), predicted_class]
    numbers = np.clip(np.ceil(confidence * bins).astype(np.intp) - 1, 0, bins - 1)
    return confidence, numbers


def compute_brier_losses(
    truth: npt.NDArray[np.intp], probabilities: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Each row's Brier loss, of shape (n,): of the last class if there are two, else summed over all."""
    if probabilities.shape[1] == 2:
        losses = np.square(probabilities[:, 1] - truth)
    else:
        losses = np.square(probabilities - np.eye(probabilities.shape[1])[truth]).sum(axis=1)
    return np.asarray(losses, dtype=np.float64)


def list_judged_classes(use_case: UseCase) -> tuple[int, ...]:
    """The numbers of the classes whose precision, recall and curves count: the last of two, else all."""
    count = len(use_case.label.classes)
    return (1,) if count == 2 else tuple(range(count))


def _prepare_regression_metrics(label: npt.NDArray[np.float64], predictions: np.ndarray) -> Computations:
    """A function for each metric that is defined here."""
    # Here, as below, because an ingest imports this module for `check_metric`: it takes 0.7 s to load.
    from sklearn import metrics as sk

    computations: Computations = {
        "mae": lambda: sk.mean_absolute_error(label, predictions),
        "rmse": lambda: math.sqrt(sk.mean_squared_error(label, predictions)),
    }
    # Where the label does not vary scikit-learn returns 0 or 1, but there is no variance to explain.
    if label.min() < label.max():
        computations["r2"] = lambda: sk.r2_score(label, predictions)
    return computations


def _prepare_class_metrics(
    use_case: UseCase, label: np.ndarray, scores: Predictions, probabilities: npt.NDArray[np.float64]
) -> Computations:
    """A function for each metric that is defined here."""
    from sklearn import metrics as sk

    truth = find_class_numbers(use_case, label)
    predicted_class = find_class_numbers(use_case, scores.predictions)
    class_numbers = list_judged_classes(use_case)
    right = truth == predicted_class
    confidence, bins = compute_confidence_bins(probabilities, predicted_class)

    @functools.cache
    def compare_classes() -> Sequence[float]:
        """Precision, recall and F1."""
        options = {"labels": list(class_numbers), "average": "macro", "zero_division": 0.0}
        return sk.precision_recall_fscore_support(truth, predicted_class, **options)[:3]  # type: ignore[no-any-return]

    computations: Computations = {
        "accuracy": lambda: sk.accuracy_score(truth, predicted_class),
        "balanced_accuracy": lambda: float(
            np.mean([np.mean(right[truth == number]) for number in np.unique(truth)])
        ),
        "precision": lambda: compare_classes()[0],
        "recall": lambda: compare_classes()[1],
        "f1": lambda: compare_classes()[2],
        "log_loss": lambda: sk.log_loss(truth, probabilities, labels=range(probabilities.shape[1])),
        "brier": lambda: float(np.mean(compute_brier_losses(truth, probabilities))),
        "calibration_error": lambda: np.abs(np.bincount(bins, confidence - right)).sum() / len(truth),
    }
    counts = np.bincount(truth, minlength=probabilities.shape[1])[list(class_numbers)]
    if counts.all():
        curves = [(truth == number, probabilities[:, number]) for number in class_numbers]
        computations["pr_auc"] = lambda: float(
            np.mean([sk.average_precision_score(*curve) for curve in curves])
        )
        if (counts < len(truth)).all():
            computations["roc_auc"] = lambda: float(np.mean([sk.roc_auc_score(*curve) for curve in curves]))
    return computations
