"""Metrics of predictions with known outcomes, each with its 95 % interval, from counts alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evergreen.monitoring.quality.count_scores import CountedScores, ErrorSums
from evergreen.monitoring.quality.score_cells import Floats, compute_cell_metric
from evergreen.store.records.trial_rows import Estimate, estimate_mean, estimate_share

_Z = 1.96
_DRAWS = 200
_SEED = 11
# Below so many rows a bootstrap says nothing.
_LEAST_ROWS = 30
# Metrics that no interval can lead beyond 1.
_SHARES = frozenset({"balanced_accuracy", "precision", "recall", "f1", "brier", "roc_auc", "pr_auc"})


def measure_class_metrics(metrics: Sequence[str], counted: CountedScores) -> dict[str, Estimate]:
    """The metrics of predicted classes whose outcomes are known; one that is undefined is left out.

    Accuracy has Wilson's interval, others that of a bootstrap of the cells (percentiles of 200 resamples;
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993), None below 30 rows.
    """
    cells, right = counted.cells, counted.right
    total = cells.total
    if not total:
        return {}
    rows = cells.rows[None, :]
    draws: tuple[Floats, Floats] | None = None
    estimates: dict[str, Estimate] = {}
    for metric in metrics:
        value = float(compute_cell_metric(metric, cells, rows, right[None, :])[0])
        if not math.isfinite(value):
            continue
        if metric == "accuracy":
            estimates[metric] = estimate_share(total, value)
            continue
        low: float | None = None
        high: float | None = None
        if total >= _LEAST_ROWS:
            if draws is None:
                draws = _resample(cells.rows, right)
            values = compute_cell_metric(metric, cells, *draws)
            defined = values[np.isfinite(values)]
            if len(defined) >= _DRAWS // 2:
                ends = np.quantile(defined, [0.025, 0.975])
                low, high = min(float(ends[0]), value), max(float(ends[1]), value)
                if metric in _SHARES:
                    low, high = max(0.0, low), min(1.0, high)
        estimates[metric] = Estimate(total, value, low, high)
    return estimates


def _resample(rows: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Resamples of as many rows, each of shape (draws, cells): how many each cell has, and how many right."""
    rng = np.random.default_rng(_SEED)
    shares = np.concatenate([right, rows - right]) / rows.sum()
    draws = rng.multinomial(int(rows.sum()), shares, _DRAWS).astype(np.float64)
    right_drawn = draws[:, : len(rows)]
    return right_drawn + draws[:, len(rows) :], right_drawn


def measure_number_metrics(sums: ErrorSums) -> dict[str, Estimate]:
    """Mean absolute and root mean squared error with normal intervals, None below 30 rows."""
    if not sums.rows:
        return {}
    absolute, square = sums.absolute / sums.rows, sums.squares / sums.rows
    deviation = math.sqrt(max(0.0, square - absolute**2))
    mae = estimate_mean(sums.rows, absolute, deviation)
    if mae.low is not None:
        mae = Estimate(mae.rows, mae.value, max(0.0, mae.low), mae.high)
    rmse = math.sqrt(square)
    if sums.rows < _LEAST_ROWS:
        return {"mae": mae, "rmse": Estimate(sums.rows, rmse, None, None)}
    half = _Z * math.sqrt(max(0.0, sums.fourth_powers / sums.rows - square**2) / sums.rows)
    low, high = math.sqrt(max(0.0, square - half)), math.sqrt(square + half)
    return {"mae": mae, "rmse": Estimate(sums.rows, rmse, low, high)}
