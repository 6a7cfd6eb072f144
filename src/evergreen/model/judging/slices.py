"""Metrics of predictions by group of rows: a slice is the groups by one feature."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import find_class_numbers
from evergreen.model.matrix import MISSING, Columns, format_categories
from evergreen.model.predictions import Predictions
from evergreen.usecase import SLICE_METRICS, Slice, UseCase

# A group of fewer rows is shown but not judged: one row more or less right would decide.
MINIMUM_ROWS = 30
# Categories beyond the most frequent are one group.
MOST_GROUPS = 20
OTHER = "(other)"

Metric = Callable[[Any, Any], float]


def compute_slice_metrics(
    use_case: UseCase, columns: Columns, label: np.ndarray, scores: Predictions
) -> list[dict[str, Any]]:
    """One JSON-able dict for each of `use_case.slices`: what the metrics are in each of its groups.

    `columns`, each of shape (n,), hold the sliced features; `label`, of shape (n,): class names or numbers.
    A dict has `feature`, `sensitive`, `metric` (the one that limits are about), `groups`
    in order ({"name", "rows", "judged", "values": {metric: value}}), and `difference` (greatest minus
    smallest) and `ratio` (smallest by greatest) per metric over the groups of 30 rows or more. What is
    undefined, such as a difference of one group, is None.

    Metrics: accuracy and balanced accuracy; for two classes also the share predicted as the last class
    (`selection_rate`) and its precision and recall; for regression the mean absolute error in the label's
    unit (`mae`) and the mean of prediction minus truth (`mean_error`), which has no ratio as it has a sign.
    Raises TrainingError for a feature that is not among `columns`.
    """
    if not use_case.slices:
        return []
    truth: np.ndarray
    said: np.ndarray
    if scores.probabilities is None:
        truth, said = np.asarray(label, dtype=np.float64), scores.predictions
    else:
        truth, said = find_class_numbers(use_case, label), find_class_numbers(use_case, scores.predictions)
    return [_compute_slice(use_case, chosen, columns, truth, said) for chosen in use_case.slices]


def assign_groups(chosen: Slice, values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The groups of a slice that hold rows, in order, and each row's group (object), of shape (n,).

    Numbers, float64 with NaN, are cut at the slice's edges into right-open bins such as "25 to 40"; text is
    its own group, but beyond the 20 most frequent. Missing values are a group, and the last one.
    """
    if chosen.edges:
        order = [*_format_bins(chosen.edges), MISSING]
        numbers = np.asarray(values, dtype=np.float64)
        places = np.searchsorted(np.array(chosen.edges), numbers, side="right")
        places[np.isnan(numbers)] = len(order) - 1
        names = np.array(order, dtype=object)[places]
    else:
        names = np.array(format_categories(values), dtype=object)
        counts = Counter(names.tolist())
        counts.pop(MISSING, None)
        # Equally frequent ones by name, so that the order of rows decides nothing.
        frequent = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_GROUPS]
        known = {*frequent, MISSING}
        names = np.array([name if name in known else OTHER for name in names], dtype=object)
        order = [*sorted(frequent), OTHER, MISSING]
    present = set(names.tolist())
    return [name for name in order if name in present], names


def _compute_slice(
    use_case: UseCase, chosen: Slice, columns: Columns, truth: np.ndarray, said: np.ndarray
) -> dict[str, Any]:
    if chosen.feature not in columns:
        raise TrainingError(
            f"the rows have no feature {chosen.feature!r}, which a slice of {use_case.name} is of",
            hint=f"they have {', '.join(columns)}",
        )
    order, names = assign_groups(chosen, columns[chosen.feature])
    metrics = _list_group_metrics(use_case)
    groups: list[dict[str, Any]] = []
    for name in order:
        rows = names == name
        values = {
            metric: _convert_finite(compute(truth[rows], said[rows])) for metric, compute in metrics.items()
        }
        count = int(np.sum(rows))
        groups.append({"name": name, "rows": count, "judged": count >= MINIMUM_ROWS, "values": values})
    difference: dict[str, float | None] = dict.fromkeys(metrics)
    ratio: dict[str, float | None] = dict.fromkeys(metrics)
    for metric in metrics:
        judged = [group["values"][metric] for group in groups if group["judged"]]
        defined = [value for value in judged if value is not None]
        # Of one group alone a metric differs by nothing, which is no finding.
        if len(defined) > 1:
            least, greatest = min(defined), max(defined)
            difference[metric] = greatest - least
            if metric != "mean_error" and greatest != 0:
                ratio[metric] = least / greatest
    return {
        "feature": chosen.feature,
        "sensitive": chosen.sensitive,
        "metric": chosen.metric or SLICE_METRICS[use_case.problem][0],
        "groups": groups,
        "difference": difference,
        "ratio": ratio,
    }


def _list_group_metrics(use_case: UseCase) -> dict[str, Metric]:
    """What is measured in each group, of class numbers or float64; NaN where it is undefined."""
    if use_case.problem == "regression":
        return {
            "mae": lambda truth, said: _compute_mean(np.abs(np.subtract(said, truth))),
            "mean_error": lambda truth, said: _compute_mean(np.subtract(said, truth)),
        }
    found: dict[str, Metric] = {
        "accuracy": lambda truth, said: _compute_mean(np.equal(truth, said)),
        "balanced_accuracy": _balanced_accuracy,
    }
    if use_case.problem == "binary":
        found |= {
            "selection_rate": lambda truth, said: _compute_mean(np.asarray(said) == 1),
            "precision": lambda truth, said: _compute_mean(np.asarray(truth)[np.asarray(said) == 1] == 1),
            "recall": lambda truth, said: _compute_mean(np.asarray(said)[np.asarray(truth) == 1] == 1),
        }
    return found


def _balanced_accuracy(truth: Any, said: Any) -> float:
    """The mean recall of the classes that the group has."""
    right, classes = np.equal(truth, said), np.asarray(truth)
    return _compute_mean(np.array([np.mean(right[classes == number]) for number in np.unique(classes)]))


def _compute_mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _convert_finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(float(value)) else None


def _format_bins(edges: tuple[float, ...]) -> list[str]:
    inner = [f"{low:.12g} to {high:.12g}" for low, high in pairwise(edges)]
    return [f"< {edges[0]:.12g}", *inner, f">= {edges[-1]:.12g}"]
