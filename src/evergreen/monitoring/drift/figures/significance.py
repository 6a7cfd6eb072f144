"""p-values of "both windows come from one distribution", from counts over bins.

Each is of a two-sample test: the reference is a sample too, and a small one says little. Functions take
n comparisons at once (see `CountPairs`) and return an array of shape (n,); 1 where either side has no rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincc, kolmogorov

from evergreen.monitoring.drift.figures.count_pairs import CountPairs, Floats

# Bins in which fewer rows than this are expected are tested as one: the chi-squared approximation of a G-test
# is too small in the tail where cells are nearly empty (Cochran, Some Methods for Strengthening the Common
# Chi-squared Tests, 1954).
LEAST_EXPECTED = 5.0


def compute_g_test(pairs: CountPairs) -> Floats:
    """p-values of the likelihood-ratio test of homogeneity (G-test) over the bins, missing values among them.

    G = 2 Σ observed · ln(observed / expected) follows about a chi-squared distribution with B - 1 degrees of
    freedom for B bins (Wilks, 1938).
    """
    before, now = _pool_sparse_bins(pairs.before, pairs.now)
    rows_before, rows_now = before.sum(axis=1), now.sum(axis=1)
    total = rows_before + rows_now
    share_now = np.divide(rows_now, total, out=np.zeros_like(total), where=total > 0)[:, None]
    both = before + now
    statistic = 2 * (_sum_ratios(before, both * (1 - share_now)) + _sum_ratios(now, both * share_now))
    degrees = np.count_nonzero(both, axis=1) - 1
    return _compute_chi_squared_tail(statistic, degrees, (rows_before > 0) & (rows_now > 0))


def compute_ks_test(pairs: CountPairs) -> Floats:
    """p-values of the two-sample Kolmogorov-Smirnov test of the values that are not missing, looked at only
    at the edges of the bins; NaN for names, which have no order.

    The greatest distance at the edges is at most that over all values, so the p-value is at least that of the
    test on the values themselves.
    """
    rows = np.arange(len(pairs))
    before, now = pairs.before.copy(), pairs.now.copy()
    before[rows, pairs.missing] = 0
    now[rows, pairs.missing] = 0
    rows_before, rows_now = before.sum(axis=1), now.sum(axis=1)
    has_rows = (rows_before > 0) & (rows_now > 0)
    n, m = np.where(has_rows, rows_before, 1.0), np.where(has_rows, rows_now, 1.0)
    distance = np.abs(np.cumsum(before, axis=1) / n[:, None] - np.cumsum(now, axis=1) / m[:, None])
    tail = kolmogorov(np.sqrt(n * m / (n + m)) * distance.max(axis=1, initial=0.0))
    return np.where(pairs.numeric, np.where(has_rows, tail, 1.0), np.nan)


def compute_bin_test(pairs: CountPairs, places: npt.NDArray[np.intp]) -> Floats:
    """p-values of "the share of one bin is the same", for the bin at each comparison's place; NaN for a
    place of -1.

    A G-test of two by two cells with Yates's continuity correction, which makes it err towards 1 where few
    rows are expected.
    """
    rows = np.arange(len(pairs))
    before = np.stack([pairs.before[rows, places], pairs.before.sum(axis=1)], axis=1)
    now = np.stack([pairs.now[rows, places], pairs.now.sum(axis=1)], axis=1)
    before[:, 1] -= before[:, 0]
    now[:, 1] -= now[:, 0]
    rows_before, rows_now = before.sum(axis=1), now.sum(axis=1)
    total = rows_before + rows_now
    expected = np.divide(
        (before + now) * rows_now[:, None], total[:, None], out=np.zeros_like(now), where=total[:, None] > 0
    )
    excess = now[:, 0] - expected[:, 0]
    correction = np.sign(excess) * np.minimum(np.abs(excess), 0.5)
    shift = np.stack([-correction, correction], axis=1)
    statistic = 2 * (
        _sum_ratios(now + shift, expected) + _sum_ratios(before - shift, before + now - expected)
    )
    degrees = np.count_nonzero(before + now, axis=1) - 1
    tail = _compute_chi_squared_tail(statistic, degrees, (rows_before > 0) & (rows_now > 0))
    return np.where(places < 0, np.nan, tail)


def _pool_sparse_bins(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """The counts with all bins that expect few rows on either side added up in one bin, the last."""
    rows_before, rows_now = before.sum(axis=1, keepdims=True), now.sum(axis=1, keepdims=True)
    smaller = np.minimum(rows_before, rows_now)
    total = rows_before + rows_now
    expected = (before + now) * smaller / np.where(total > 0, total, 1.0)
    sparse = expected < LEAST_EXPECTED
    pooled = []
    for counts in (before, now):
        rest = np.where(sparse, counts, 0.0).sum(axis=1, keepdims=True)
        pooled.append(np.concatenate([np.where(sparse, 0.0, counts), rest], axis=1))
    return pooled[0], pooled[1]


def _sum_ratios(observed: Floats, expected: Floats) -> Floats:
    ratio = np.divide(observed, expected, out=np.ones_like(observed), where=(observed > 0) & (expected > 0))
    total: Floats = np.sum(observed * np.log(ratio), axis=1)
    return total


def _compute_chi_squared_tail(
    statistic: Floats, degrees: npt.NDArray[np.intp], has_rows: npt.NDArray[np.bool_]
) -> Floats:
    tail = gammaincc(np.maximum(degrees, 1) / 2, np.maximum(statistic, 0.0) / 2)
    result: Floats = np.where(has_rows & (degrees > 0), tail, 1.0)
    return result
