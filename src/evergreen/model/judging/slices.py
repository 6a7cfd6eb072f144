"""Metrics of predictions by group of rows. A slice of a declaration names the feature that groups are by."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, TypedDict

import numpy as np

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import find_class_numbers
from evergreen.model.matrix import MISSING, Columns, format_categories
from evergreen.model.predictions import Predictions
from evergreen.model.slice_groups import MINIMUM_ROWS, MOST_GROUPS, OTHER, format_edges
from evergreen.usecase import SLICE_METRICS, Slice, UseCase

Metric = Callable[[Any, Any], float]


class GroupMetrics(TypedDict):
    """The metrics of a group by name, None where undefined; it is `judged` if it has 30 rows or more."""

    name: str
    rows: int
    judged: bool
    values: dict[str, float | None]


class SliceMetrics(TypedDict):
    """The groups of a slice in order; its limits are about `metric`.

    `difference` (greatest minus smallest) and `ratio` (smallest by greatest) are, for each metric, over the
    groups that are judged, and None where fewer than two have a value.
    """

    feature: str
    sensitive: bool
    metric: str
    groups: list[GroupMetrics]
    difference: dict[str, float | None]
    ratio: dict[str, float | None]


def compute_slice_metrics(
    use_case: UseCase, columns: Columns, label: np.ndarray, scores: Predictions
) -> list[SliceMetrics]:
    """The metrics of n predictions in each group of each of `use_case.slices`.

    `columns`, each of shape (n,), hold the sliced features; `label`, of shape (n,): class names or numbers.

    Metrics: accuracy and balanced accuracy; for two classes also the share predicted as the last class
    (`selection_rate`) and its precision and recall; for regression the mean absolute error in the label's
    unit (`mae`) and the mean of prediction minus truth (`mean_error`), which has no ratio as it has a sign.
    Raises TrainingError for a feature that is not among `columns`.
    """
    if not use_case.slices:
        return []
    truth: np.ndarray
    predictions: np.ndarray
    if scores.probabilities is None:
        truth, predictions = np.asarray(label, dtype=np.float64), scores.predictions
    else:
        truth, predictions = (
            find_class_numbers(use_case, label),
            find_class_numbers(use_case, scores.predictions),
        )
    return [
        _compute_slice(use_case, declared_slice, columns, truth, predictions)
        for declared_slice in use_case.slices
    ]


def assign_groups(declared_slice: Slice, values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The groups of a slice that hold rows, in order, and each row's group (object), of shape (n,).

    Numbers, float64 with NaN, are cut at the slice's edges into right-open bins such as "25 to 40"; text is
    its own group; all beyond the 20 most frequent ones are one. Missing values are the last group.
    """
    if declared_slice.edges:
        order = [*format_edges(declared_slice.edges), MISSING]
        numbers = np.asarray(values, dtype=np.float64)
        places = np.searchsorted(np.array(declared_slice.edges), numbers, side="right")
        places[np.isnan(numbers)] = len(order) - 1
        names = np.array(order, dtype=object)[places]
    else:
        names = np.array(format_categories(values), dtype=object)
        counts = Counter(names.tolist())
        counts.pop(MISSING, None)
        # Equally frequent ones by name, so that the order of rows decides nothing.
        frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_GROUPS]
        shown_names = {*frequent, MISSING}
        names = np.array([name if name in shown_names else OTHER for name in names], dtype=object)
        order = [*sorted(frequent), OTHER, MISSING]
    present = set(names.tolist())
    return [name for name in order if name in present], names


def _compute_slice(
    use_case: UseCase, declared_slice: Slice, columns: Columns, truth: np.ndarray, predictions: np.ndarray
) -> SliceMetrics:
    if declared_slice.feature not in columns:
        raise TrainingError(
            f"the rows have no feature {declared_slice.feature!r}, which a slice of {use_case.name} is of",
            hint=f"they have {', '.join(columns)}",
        )
    order, names = assign_groups(declared_slice, columns[declared_slice.feature])
    metrics = _list_group_metrics(use_case)
    groups: list[GroupMetrics] = []
    for name in order:
        rows = names == name
        values = {
            metric: _convert_finite(compute(truth[rows], predictions[rows]))
            for metric, compute in metrics.items()
        }
        count = int(np.sum(rows))
        groups.append({"name": name, "rows": count, "judged": count >= MINIMUM_ROWS, "values": values})
    difference: dict[str, float | None] = dict.fromkeys(metrics)
    ratio: dict[str, float | None] = dict.fromkeys(metrics)
    for metric in metrics:
        group_values = [group["values"][metric] for group in groups if group["judged"]]
        defined = [value for value in group_values if value is not None]
        # With a single group there is no difference to report.
        if len(defined) > 1:
            least, greatest = min(defined), max(defined)
            difference[metric] = greatest - least
            if metric != "mean_error" and greatest != 0:
                ratio[metric] = least / greatest
    return {
        "feature": declared_slice.feature,
        "sensitive": declared_slice.sensitive,
        "metric": declared_slice.metric or SLICE_METRICS[use_case.problem][0],
        "groups": groups,
        "difference": difference,
        "ratio": ratio,
    }


def _list_group_metrics(use_case: UseCase) -> dict[str, Metric]:
    """Functions of truth and predictions (class numbers or float64) by metric; NaN where undefined."""
    if use_case.problem == "regression":
        return {
            "mae": lambda truth, predicted: _compute_mean(np.abs(np.subtract(predicted, truth))),
            "mean_error": lambda truth, predicted: _compute_mean(np.subtract(predicted, truth)),
        }
    metrics: dict[str, Metric] = {
        "accuracy": lambda truth, predicted: _compute_mean(np.equal(truth, predicted)),
        "balanced_accuracy": _compute_balanced_accuracy,
    }
    if use_case.problem == "binary":
        metrics |= {
            "selection_rate": lambda truth, predicted: _compute_mean(np.asarray(predicted) == 1),
            "precision": lambda truth, predicted: _compute_mean(
                np.asarray(truth)[np.asarray(predicted) == 1] == 1
            ),
            "recall": lambda truth, predicted: _compute_mean(
                np.asarray(predicted)[np.asarray(truth) == 1] == 1
            ),
        }
    return metrics


def _compute_balanced_accuracy(truth: Any, predicted: Any) -> float:
    """The mean recall of the classes that the group has."""
    right, classes = np.equal(truth, predicted), np.asarray(truth)
    return _compute_mean(np.array([np.mean(right[classes == number]) for number in np.unique(classes)]))


def _compute_mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _convert_finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None
