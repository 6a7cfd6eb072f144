"""Quality without labels: estimated from the confidence of the answers, or from errors of like rows.

Classes: a calibrated probability says how often an answer is right, so the mean over the answers estimates
their accuracy, and the expected right ones of each cell any other metric (confidence-based performance
estimation). The calibration is corrected by what the hold-out shows, region by region, and the regions of the
present rows weigh by their present shares: importance weighting with a density ratio that is constant in each
region. (A ratio by a domain classifier, as in Bialek et al., "Estimating Model Performance Under Covariate
Shift Without Labels", arXiv 2401.08348, was measured too: docs/monitoring.md.) Numbers: the mean absolute
error of the hold-out's rows in a region, weighted likewise (direct loss estimation).

Both are valid where only the inputs have moved (covariate shift). They are blind to concept drift: where the
same inputs have other outcomes than before, the estimate does not notice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from evergreen.model.error_profile.profile import (
    ClassErrorProfile,
    NumberErrorProfile,
    build_design,
    compute_logistic,
    compute_logits,
)
from evergreen.monitoring.quality.score_cells import Floats, ScoreCells, compute_cell_metric
from evergreen.store.records.checks.quality_metric import QualityEstimate

VALIDITY = "valid for covariate shift, blind to concept drift"

_Z = 1.96
_DRAWS = 400
_SEED = 7
# How far the log-odds may be off in rows as unlike the hold-out's as can be: what a correction is a priori.
_DISCREPANCY = 0.25


def estimate_quality(
    metrics: Sequence[str], profile: ClassErrorProfile, cells: ScoreCells
) -> tuple[QualityEstimate, ...]:
    """The estimate of each metric of `CELL_METRICS`, with a band of 95 %; one that is undefined is left out.

    The band holds the chance of the rows' outcomes, the uncertainty of the correction, and that the rows are
    unlike the hold-out's. `reference` is the hold-out's metric.
    """
    if not cells.total:
        return ()
    rows = cells.rows[None, :]
    shares = profile.compute_right_shares(cells.confidence, cells.regions)
    drawn_shares = draw_right_shares(profile, cells)
    rng = np.random.default_rng(_SEED)
    drawn_right = rng.binomial(cells.rows.astype(np.int64), drawn_shares).astype(np.float64)
    estimates = []
    for metric in metrics:
        value = float(compute_cell_metric(metric, cells, rows, rows * shares)[0])
        draws = compute_cell_metric(metric, cells, np.broadcast_to(rows, drawn_right.shape), drawn_right)
        draws = draws[np.isfinite(draws)]
        if not np.isfinite(value) or len(draws) < _DRAWS // 2:
            continue
        half = _Z * float(np.sqrt(np.mean((draws - value) ** 2)))
        low, high = value - half, value + half
        if metric != "log_loss":
            low, high = max(0.0, low), min(1.0, high)
        estimates.append(
            QualityEstimate(metric, value, max(0.0, low), high, cells.total, profile.reference.get(metric))
        )
    return tuple(estimates)


def estimate_number_quality(
    profile: NumberErrorProfile, region_rows: npt.NDArray[np.int64]
) -> tuple[QualityEstimate, ...]:
    """The estimated mean absolute and root mean squared error, with bands of 95 %.

    `region_rows`, of shape (regions,), are the numbers of the present rows by region.
    """
    total = int(region_rows.sum())
    if not total:
        return ()
    share = region_rows / total
    rows = np.array([region.rows for region in profile.regions], dtype=np.float64)

    def estimate(means: list[float], variances: list[float]) -> tuple[float, float]:
        mean, variance = np.array(means), np.array(variances)
        value = float(share @ mean)
        error = float(np.sqrt(share**2 @ (variance / rows) + share @ variance / total))
        return value, _Z * error

    absolute, half = estimate(
        [region.mean_absolute for region in profile.regions],
        [region.variance_absolute for region in profile.regions],
    )
    square, square_half = estimate(
        [region.mean_square for region in profile.regions],
        [region.variance_square for region in profile.regions],
    )
    root = float(np.sqrt(square))
    return (
        QualityEstimate(
            "mae", absolute, max(0.0, absolute - half), absolute + half, total, profile.reference.get("mae")
        ),
        QualityEstimate(
            "rmse",
            root,
            float(np.sqrt(max(0.0, square - square_half))),
            float(np.sqrt(square + square_half)),
            total,
            profile.reference.get("rmse"),
        ),
    )


def draw_right_shares(profile: ClassErrorProfile, cells: ScoreCells) -> Floats:
    """Right shares of each cell that the hold-out allows, of shape (draws, n).

    Beyond the parameters' uncertainty the log-odds of all rows are off by one normal number, whose standard
    deviation grows with the distance of the regions' shares from the hold-out's.
    """
    rng = np.random.default_rng(_SEED + 1)
    logits = compute_logits(cells.confidence)
    parameters = rng.multivariate_normal(profile.parameters, profile.covariance, _DRAWS, method="eigh")
    present = np.bincount(cells.regions, cells.rows, minlength=profile.regions) / cells.total
    distance = 0.5 * float(np.abs(present - np.array(profile.shares)).sum())
    parameters[:, 0] += rng.normal(0.0, _DISCREPANCY * distance, _DRAWS)
    design = build_design(logits - profile.centre, cells.regions, profile.regions)
    return compute_logistic(logits + parameters @ design.T)
