"""Drift of all inputs together: a classifier is taught to tell the rows of a window from earlier ones.

Features may each keep their distribution while their relations change, which counts by feature cannot show.
Where no relation has changed either, a classifier does no better on rows that it was not fitted on than
guessing: the area under its ROC curve is 0.5 but for chance (Lopez-Paz & Oquab, Revisiting Classifier
Two-Sample Tests, 2017). CatBoost is the classifier, as for the models themselves: it takes categories and
missing values as they are. The reconstruction error of a PCA, which is cheaper, hardly moved when the
correlation of two of 22 features did, and takes neither.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
from catboost import CatBoostClassifier
from scipy.special import ndtr, ndtri

from evergreen.model.matrix import Columns, build_pool, select_rows
from evergreen.model.signature import list_model_inputs
from evergreen.monitoring.drift.figures.correction import compute_check_level
from evergreen.store.records.checks.drift_evidence import MultivariateDrift
from evergreen.store.records.checks.drift_metric import DriftMetric, Severity
from evergreen.usecase import DriftPolicy, UseCase

# Half of the rows fit, the other half are told apart; then the other way round.
_FOLDS = 2
# With fewer rows on a side a half may have none of them, and the area says nothing.
_LEAST_ROWS = 30
_MOST_NAMED = 3
# Shallow trees see relations of a few features, and are fitted in a second.
_PARAMETERS: dict[str, Any] = {
    "iterations": 100,
    "depth": 4,
    "learning_rate": 0.1,
    "thread_count": 1,
    "random_seed": 0,
    "verbose": False,
    "allow_writing_files": False,
}


def measure_multivariate_drift(
    use_case: UseCase, before: Columns, now: Columns, *, check_number: int = 1
) -> MultivariateDrift:
    """How well earlier rows and those of a window are told apart.

    `before` and `now` hold every model input, of shape (n,) and (m,), as `add_on_demand_columns` gives them;
    `check_number` is that of `compare_windows`.

    "unknown" where either side has fewer than `drift.min_rows` rows, or fewer than half of
    `drift.sample_rows` if that is less; and below 30 rows.
    """
    policy = use_case.drift
    counts = (_count_rows(before), _count_rows(now))
    least = max(_LEAST_ROWS, min(policy.min_rows, policy.sample_rows // 2))
    if min(counts) < least:
        reason = (
            f"not measured: it takes {least:,} predictions of the window and as many earlier ones of the "
            f"model, and there are {counts[1]:,} and {counts[0]:,}"
        )
        return MultivariateDrift(None, None, None, *counts, "unknown", reason)
    names = [feature.name for feature in list_model_inputs(use_case)]
    columns = {name: np.concatenate([before[name], now[name]]) for name in names}
    is_now = np.repeat([False, True], counts)
    if not any(_varies(values) for values in columns.values()):
        reason = "not measured: every input has one and the same value in all rows"
        return MultivariateDrift(None, None, None, *counts, "unknown", reason)
    auc, deviation, importances = _tell_apart(use_case, columns, is_now)
    spread = float(ndtri(1 - policy.alpha / 2)) * deviation
    severity = _judge_auc(policy, auc, deviation, check_number)
    features = [names[place] for place in np.argsort(-importances, kind="stable")[:_MOST_NAMED]]
    words = "are told from" if severity in ("warning", "drift") else "can hardly be told from"
    return MultivariateDrift(
        auc=round(auc, 6),
        low=round(max(0.0, auc - spread), 6),
        high=round(min(1.0, auc + spread), 6),
        rows_before=counts[0],
        rows_now=counts[1],
        severity=severity,
        reason=f"{counts[1]:,} predictions {words} {counts[0]:,} earlier ones (AUC {auc:.2f})",
        features=tuple(features) if severity in ("warning", "drift") else (),
    )


def build_multivariate_metrics(
    policy: DriftPolicy, found: MultivariateDrift | None
) -> tuple[DriftMetric, ...]:
    """The row `auc` of the table of figures; none where nothing was measured."""
    if found is None:
        return ()
    return (DriftMetric("", "", "auc", found.auc, policy.auc_threshold, found.severity),)


def describe_multivariate_warnings(found: MultivariateDrift | None) -> tuple[str, ...]:
    """What was found in words, where it is at the limit of a warning or beyond."""
    if found is None or found.severity not in ("warning", "drift"):
        return ()
    return (f"{found.reason}, most of all by {', '.join(found.features)}",)


def compute_auc(scores: npt.NDArray[np.float64], positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The area under the ROC curve of n scores, of shape (n,), and its standard deviation.

    By DeLong's method (DeLong, DeLong & Clarke-Pearson, Comparing the Areas under Two or More Correlated ROC
    Curves, 1988) in its fast form over ranks (Sun & Xu, 2014). Ties count half. Both kinds need two rows at
    least.
    """
    ones, zeros = int(positive.sum()), int((~positive).sum())
    ranks = compute_ranks(scores)
    above_zeros = (ranks[positive] - compute_ranks(scores[positive])) / zeros
    below_ones = 1 - (ranks[~positive] - compute_ranks(scores[~positive])) / ones
    variance = above_zeros.var(ddof=1) / ones + below_ones.var(ddof=1) / zeros
    return float(above_zeros.mean()), float(np.sqrt(variance))


def compute_ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rank of each of n values, from 1 for the least; equal values share the mean of theirs."""
    # SciPy has this function too, in `scipy.stats`, which takes a second of processor time to load.
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: npt.NDArray[np.float64] = counts.cumsum() - (counts - 1) / 2
    return middles[places]


def _tell_apart(
    use_case: UseCase, columns: Columns, is_now: npt.NDArray[np.bool_]
) -> tuple[float, float, npt.NDArray[np.float64]]:
    """The AUC, the mean over both halves; its standard deviation; and the importance of each model input."""
    fold = np.random.default_rng(0).permutation(len(is_now)) % _FOLDS
    areas, variances, importances = [], [], []
    for number in range(_FOLDS):
        is_train, is_test = fold != number, fold == number
        model = CatBoostClassifier(**_PARAMETERS)
        model.fit(build_pool(use_case, select_rows(columns, is_train), is_now[is_train].astype(np.int64)))
        pool = build_pool(use_case, select_rows(columns, is_test))
        area, deviation = compute_auc(model.predict(pool, prediction_type="RawFormulaVal"), is_now[is_test])
        areas.append(area)
        variances.append(deviation**2)
        importances.append(model.get_feature_importance())
    return (
        float(np.mean(areas)),
        float(np.sqrt(np.sum(variances)) / _FOLDS),
        np.mean(importances, axis=0),
    )


def _judge_auc(policy: DriftPolicy, auc: float, deviation: float, check_number: int) -> Severity:
    p_value = float(ndtr((0.5 - auc) / max(deviation, sys.float_info.min)))
    if auc >= policy.auc_threshold and p_value <= compute_check_level(policy.alpha, check_number):
        return "drift"
    warning = 0.5 + (policy.auc_threshold - 0.5) * policy.warning_share
    return "warning" if auc >= warning and p_value <= policy.alpha else "none"


def _varies(values: np.ndarray) -> bool:
    """Whether a column has more than one value; CatBoost takes none in which no column has."""
    if values.dtype == object:
        return len(set(values.tolist())) > 1
    present = values[~np.isnan(values)]
    return len(present) > 0 and bool(len(present) < len(values) or present.min() < present.max())


def _count_rows(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))
