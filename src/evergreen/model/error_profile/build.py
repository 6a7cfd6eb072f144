"""Builds a version's error profile from its answers on the hold-out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evergreen.model.error_profile.partition import Floats, Partition, assign_regions, grow_partition
from evergreen.model.error_profile.profile import (
    CONFIDENCE,
    PREDICTED,
    ClassErrorProfile,
    ErrorProfile,
    NumberErrorProfile,
    RegionErrors,
    build_design,
    compute_logistic,
    compute_logits,
)
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import Columns
from evergreen.model.predictions import Predictions
from evergreen.model.signature import list_model_inputs
from evergreen.usecase import UseCase

# Of a larger hold-out evenly spaced rows are taken: regions and corrections need no more.
_MOST_ROWS = 50_000
_CLASS_REGIONS, _NUMBER_REGIONS = 16, 32
_LEAST_REGION_ROWS = 50
# The least statistic of a division, chi-squared with one degree of freedom for one condition; the best of
# some hundred conditions reaches about 8 by chance, and what it brings then is held down by the prior.
_LEAST_GAIN, _LEAST_CLASS_GAIN = 12.0, 8.0
# The prior precisions of intercept, slope and offsets: a calibrated model's log-odds are off by a tenth or
# two. A small hold-out must not correct it by its own chance.
_PRIOR = (50.0, 4.0, 40.0)
_NEWTON_STEPS = 50


def build_error_profile(
    use_case: UseCase, columns: Columns, label: np.ndarray, scores: Predictions
) -> ErrorProfile:
    """The error profile of n hold-out rows, n at least 1.

    `columns`, each of shape (n,), hold every model input; `label`, of that shape: class names or numbers;
    `scores` are the answers of models that were not fitted on these rows.
    """
    rows = len(label)
    reference = compute_metrics(use_case, label, scores)
    some = np.unique(np.linspace(0, rows - 1, min(rows, _MOST_ROWS)).astype(int))
    inputs = {
        feature.name: columns[feature.name][some]
        for feature in list_model_inputs(use_case)
        if feature.numeric or feature.dtype == "category"
    }
    predicted = scores.predictions[some]
    if scores.probability is None:
        errors = predicted.astype(np.float64) - label[some].astype(np.float64)
        deviations = {"mae": float(np.abs(errors).std()), "label": float(label.astype(np.float64).std())}
        partition, regions = _divide_numbers({**inputs, PREDICTED: predicted}, np.abs(errors))
        return NumberErrorProfile(partition, regions, rows, reference, deviations)
    confidence = scores.probability[some]
    right = (predicted.astype(str) == label[some].astype(str)).astype(np.float64)
    split_columns = {**inputs, PREDICTED: predicted, CONFIDENCE: confidence}
    logits = compute_logits(confidence)
    centre = float(logits.mean())
    partition, parameters, covariance, shares = _divide_classes(split_columns, logits, centre, right)
    deviations = _compute_deviations(confidence, right)
    return ClassErrorProfile(partition, centre, parameters, covariance, shares, rows, reference, deviations)


def _compute_deviations(confidence: Floats, right: Floats) -> dict[str, float]:
    """Of accuracy, and in a problem of two classes of Brier score and log loss, over single rows."""
    probability = np.where(right > 0.0, confidence, 1.0 - confidence)
    log_losses = -np.log(np.maximum(probability, np.finfo(np.float64).eps))
    return {
        "accuracy": float(right.std()),
        "brier": float(np.square(1.0 - probability).std()),
        "log_loss": float(log_losses.std()),
    }


def _divide_classes(
    columns: Columns, logits: Floats, centre: float, right: Floats
) -> tuple[Partition, Floats, Floats, tuple[float, ...]]:
    """Regions, the correction's parameters and covariance, and the regions' shares of the rows.

    There is one region unless more of them, made of one half of the rows, foretell the other half better.
    """
    every_other = np.arange(len(right)) % 2 == 0
    gain = 0.0
    for half in (every_other, ~every_other):
        if len(right) >= 4 * _LEAST_REGION_ROWS:
            gain += _compute_regions_gain(columns, logits, centre, right, half)
    partition = _grow_class_partition(columns, logits, centre, right) if gain > 0.0 else 0
    regions = assign_regions(partition, columns, len(right))
    counts = np.bincount(regions)
    design = build_design(logits - centre, regions, len(counts))
    parameters, covariance = _fit_correction(logits, design, right)
    shares = tuple(float(count) for count in counts / len(right))
    return partition, parameters, covariance, shares


def _compute_regions_gain(
    columns: Columns, logits: Floats, centre: float, right: Floats, half: npt.NDArray[np.bool_]
) -> float:
    """By how much the log likelihood of the rows outside `half` is greater with the regions that its rows
    give than with one region."""
    own = {name: values[half] for name, values in columns.items()}
    partition = _grow_class_partition(own, logits[half], centre, right[half])
    regions = assign_regions(partition, columns, len(right))
    likelihoods = []
    for numbers in (regions, np.zeros_like(regions)):
        design = build_design(logits - centre, numbers, int(numbers.max()) + 1)
        parameters, _ = _fit_correction(logits[half], design[half], right[half])
        scores = (logits + design @ parameters)[~half]
        likelihoods.append(float(-np.logaddexp(0.0, np.where(right[~half] > 0.0, -scores, scores)).sum()))
    return likelihoods[0] - likelihoods[1]


def _grow_class_partition(columns: Columns, logits: Floats, centre: float, right: Floats) -> Partition:
    """Regions where the predictions are right more or less often than one correction for all rows says."""
    design = build_design(logits - centre, np.zeros(len(right), dtype=np.intp), 1)
    parameters, _ = _fit_correction(logits, design, right)
    expected = compute_logistic(logits + design @ parameters)
    # A small hold-out has fewer regions, of which each has rows to speak of.
    return grow_partition(
        columns,
        right - expected,
        expected * (1.0 - expected),
        most_regions=_CLASS_REGIONS,
        least_rows=max(_LEAST_REGION_ROWS, len(right) // 100),
        least_gain=_LEAST_CLASS_GAIN,
    )


def _fit_correction(logits: Floats, design: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Penalised logistic regression with the logits as offset, by Newton: parameters and covariance."""
    count = design.shape[1]
    precision = np.array([*_PRIOR[:2], *[_PRIOR[2]] * (count - 2)])
    parameters = np.zeros(count)
    for _ in range(_NEWTON_STEPS):
        shares = compute_logistic(logits + design @ parameters)
        gradient = design.T @ (right - shares) - precision * parameters
        hessian = (design.T * (shares * (1.0 - shares))) @ design + np.diag(precision)
        step = np.linalg.solve(hessian, gradient)
        parameters = parameters + step
        if float(np.abs(step).max()) < 1e-10:
            break
    return parameters, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _divide_numbers(columns: Columns, absolute: Floats) -> tuple[Partition, tuple[RegionErrors, ...]]:
    """Regions of rows with like absolute errors, and the errors of each."""
    spread = max(float(absolute.var()), np.finfo(np.float64).tiny)
    partition = grow_partition(
        columns,
        absolute - absolute.mean(),
        np.full(len(absolute), spread),
        most_regions=_NUMBER_REGIONS,
        least_rows=_LEAST_REGION_ROWS,
        least_gain=_LEAST_GAIN,
    )
    regions = assign_regions(partition, columns, len(absolute))
    return partition, tuple(
        _summarize_errors(absolute[regions == number]) for number in range(int(regions.max()) + 1)
    )


def _summarize_errors(absolute: Floats) -> RegionErrors:
    squares = absolute**2
    return RegionErrors(
        len(absolute),
        float(absolute.mean()),
        float(absolute.var()),
        float(squares.mean()),
        float(squares.var()),
    )
