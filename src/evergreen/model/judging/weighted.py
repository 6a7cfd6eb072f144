"""Every metric of `metrics.py` under many weightings of the same rows, without a loop over them.

Metrics that are made of sums over rows come from one sparse matrix product, areas under curves from
cumulative sums over the rows sorted once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix

from evergreen.model.judging.metrics import (
    CALIBRATION_BINS,
    compute_brier_losses,
    compute_confidence_bins,
    find_class_numbers,
    list_judged_classes,
)
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]

# A weighted sum over rows: its number among the sums (or one for each row), its rows, and their values.
_WeightedSum = tuple[npt.NDArray[np.intp] | int, npt.NDArray[np.intp], np.ndarray]


def build_metric_function(
    use_case: UseCase, label: np.ndarray, scores: Predictions, codes: npt.NDArray[np.intp], groups: int
) -> Callable[[Counts], dict[str, Floats]]:
    """A function from b weightings, (b, groups) int32, to every metric of `METRICS`, each of shape (b,).

    `label`, of shape (n,): class names or numbers; `codes`, of shape (n,): the group, 0..groups-1, whose
    weight each row has. A weight is how often the row counts, 0 or more, and no weighting is 0 throughout.
    With all weights 1 the metrics are those of `compute_metrics`, with others scikit-learn's for such sample
    weights; what is undefined is NaN. Raises TrainingError for a class that is not declared.
    """
    if scores.probabilities is None:
        weighted_sums = _list_regression_sums(np.asarray(label, dtype=np.float64), scores.predictions)
        numbers = _build_sum_matrix(weighted_sums, len(weighted_sums), codes, groups)
        return lambda counts: _compute_regression_metrics(_compute_sums(numbers, counts))
    truth = find_class_numbers(use_case, label)
    predicted_class = find_class_numbers(use_case, scores.predictions)
    probabilities, class_numbers = scores.probabilities, list_judged_classes(use_case)
    classes = probabilities.shape[1]
    matrix = _build_sum_matrix(
        _list_class_sums(truth, predicted_class, probabilities),
        3 * classes + 2 + CALIBRATION_BINS,
        codes,
        groups,
    )
    curves = [_build_curve(truth == number, probabilities[:, number], codes) for number in class_numbers]

    def compute_all(counts: Counts) -> dict[str, Floats]:
        """The metrics of classes under each weighting."""
        metrics = _compute_class_metrics(_compute_sums(matrix, counts), classes, class_numbers)
        areas = [_compute_areas(curve, counts) for curve in curves]
        metrics["roc_auc"] = np.mean([roc for roc, _ in areas], axis=0)
        metrics["pr_auc"] = np.mean([pr for _, pr in areas], axis=0)
        return metrics

    return compute_all


def _list_regression_sums(label: Floats, predictions: np.ndarray) -> list[_WeightedSum]:
    """Sums of 1, |error|, error^2, and of the label and its square around its mean."""
    every = np.arange(len(label))
    errors, around = predictions - label, label - label.mean()
    values = (np.ones(len(label)), np.abs(errors), np.square(errors), around, np.square(around))
    return [(place, every, value) for place, value in enumerate(values)]


def _compute_regression_metrics(sums: Floats) -> dict[str, Floats]:
    rows, absolute, squared, label, label_squared = sums
    spread = label_squared - np.square(label) / rows
    # For a constant label only a rounding error remains, and R^2 is undefined.
    spread[spread <= 1e-13 * label_squared] = np.nan
    return {"mae": absolute / rows, "rmse": np.sqrt(squared / rows), "r2": 1.0 - squared / spread}


def _list_class_sums(
    truth: npt.NDArray[np.intp], predicted_class: npt.NDArray[np.intp], probabilities: Floats
) -> list[_WeightedSum]:
    """Rows by true class, by predicted class, and right ones by class; losses; calibration errors by bin."""
    every, classes = np.arange(len(truth)), probabilities.shape[1]
    right = truth == predicted_class
    least = np.finfo(np.float64).eps
    losses = -np.log(np.clip(probabilities[every, truth], least, 1.0 - least))
    confidence, bins = compute_confidence_bins(probabilities, predicted_class)
    ones = np.ones(len(truth))
    return [
        (truth, every, ones),
        (classes + predicted_class, every, ones),
        (2 * classes + truth[right], every[right], ones[right]),
        (3 * classes, every, losses),
        (3 * classes + 1, every, compute_brier_losses(truth, probabilities)),
        (3 * classes + 2 + bins, every, confidence - right),
    ]


def _compute_class_metrics(sums: Floats, classes: int, class_numbers: tuple[int, ...]) -> dict[str, Floats]:
    true, predicted, right = sums[:classes], sums[classes : 2 * classes], sums[2 * classes : 3 * classes]
    rows = true.sum(axis=0)
    some = list(class_numbers)
    return {
        "accuracy": right.sum(axis=0) / rows,
        "balanced_accuracy": _compute_share(right, true).sum(axis=0) / (true > 0).sum(axis=0),
        "precision": _compute_share(right, predicted)[some].mean(axis=0),
        "recall": _compute_share(right, true)[some].mean(axis=0),
        "f1": _compute_share(2.0 * right, true + predicted)[some].mean(axis=0),
        "log_loss": sums[3 * classes] / rows,
        "brier": sums[3 * classes + 1] / rows,
        "calibration_error": np.abs(sums[3 * classes + 2 :]).sum(axis=0) / rows,
    }


def _compute_share(amount: Floats, whole: Floats) -> Floats:
    """`amount / whole`, 0 where the whole is 0."""
    return np.asarray(amount / np.maximum(whole, 1.0))


def _build_sum_matrix(terms: list[_WeightedSum], sums: int, codes: npt.NDArray[np.intp], groups: int) -> Any:
    """The terms as a sparse float64 matrix (sums, groups), in which rows of one group are added up."""
    # 32 bits, as SciPy's indices have: there are several for each of millions of rows.
    places = np.concatenate([np.broadcast_to(place, len(rows)).astype(np.int32) for place, rows, _ in terms])
    columns = np.concatenate([codes[rows].astype(np.int32) for _, rows, _ in terms])
    values = np.concatenate([values for _, _, values in terms])
    return coo_matrix((values, (places, columns)), shape=(sums, groups)).tocsr()


def _compute_sums(matrix: Any, counts: Counts) -> Floats:
    """Each sum in each resample, of shape (sums, b), in float64: counts come out exactly."""
    return np.asarray(matrix @ np.ascontiguousarray(counts.T, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class _Curve:
    """Rows by falling score of one class against the rest; a step is a score that some row of it has.

    `rows` and `positives`: the groups (0..groups-1) of all rows, and of those of the class, in that order.
    `ends`: where each step ends in `rows`; `starts`: where it starts, if the class ties with others anywhere;
    `positive_ends`: where it ends in `positives`, if rows of the class tie with each other anywhere.
    """

    rows: npt.NDArray[np.intp]
    positives: npt.NDArray[np.intp]
    ends: npt.NDArray[np.intp]
    starts: npt.NDArray[np.intp] | None
    positive_ends: npt.NDArray[np.intp] | None


def _build_curve(positive: npt.NDArray[np.bool_], score: Floats, codes: npt.NDArray[np.intp]) -> _Curve:
    order = np.argsort(-score, kind="stable")
    sorted_scores, hits = score[order], positive[order]
    ends = np.append(np.flatnonzero(np.diff(sorted_scores)), len(order) - 1)
    starts = np.append(0, ends[:-1] + 1)
    positive_ends = np.cumsum(hits)[ends] - 1
    step_positives = np.diff(positive_ends, prepend=-1)
    has_positives = step_positives > 0
    has_mixed_ties = bool((step_positives[has_positives] < (ends - starts + 1)[has_positives]).any())
    has_positive_ties = bool((step_positives > 1).any())
    return _Curve(
        codes[order],
        codes[order[hits]],
        ends[has_positives],
        starts[has_positives] if has_mixed_ties else None,
        positive_ends[has_positives] if has_positive_ties else None,
    )


def _compute_areas(curve: _Curve, counts: Counts) -> tuple[Floats, Floats]:
    """ROC AUC and average precision in each resample, each of shape (b,); NaN where undefined.

    Both are sums over the steps of the class: a row of it is ahead of the others that come later, and of half
    of those that tie with it (Hanley & McNeil, Radiology, 1982); average precision is the precision up to a
    step, weighted by its share of the class, without interpolation, as scikit-learn has it. Steps of other
    classes alone add nothing to either.
    """
    if not len(curve.ends):
        undefined = np.full(len(counts), np.nan)
        return undefined, undefined
    step_positives = counts.take(curve.positives, axis=1)
    positives_so_far = np.cumsum(step_positives, axis=1, dtype=np.int32)
    if curve.positive_ends is not None:
        positives_so_far = positives_so_far.take(curve.positive_ends, axis=1)
        step_positives = np.diff(positives_so_far, axis=1, prepend=np.int32(0))
    rows_so_far = np.cumsum(counts.take(curve.rows, axis=1), axis=1, dtype=np.int32)
    total, of_class = rows_so_far[:, -1].astype(np.float64), positives_so_far[:, -1].astype(np.float64)
    rows_at_step = rows_so_far.take(curve.ends, axis=1)
    weights = step_positives.astype(np.float64)
    ahead = (rows_at_step - positives_so_far).astype(np.float64)
    if curve.starts is not None:
        before = rows_so_far.take(np.maximum(curve.starts - 1, 0), axis=1)
        before[:, curve.starts == 0] = 0
        # Others that tie count half: the mean of how many are ahead before and after the step.
        ahead += before - (positives_so_far - step_positives)
        ahead *= 0.5
    precision = positives_so_far / np.maximum(rows_at_step, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        roc = 1.0 - np.einsum("ij,ij->i", weights, ahead) / (of_class * (total - of_class))
        pr = np.einsum("ij,ij->i", weights, precision) / of_class
    return roc, pr
