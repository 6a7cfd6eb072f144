"""How far two distributions over the same bins lie apart: effect sizes, which do not grow with the rows.

Shares are of the rows in all bins, missing values among them. All functions take `before` and `now`, rows by
bin of shape (n, b), for n comparisons.
"""

from __future__ import annotations

import numpy as np

from evergreen.monitoring.drift.figures.count_pairs import CountPairs, Floats


def compute_js_distances(before: Floats, now: Floats) -> Floats:
    """The Jensen-Shannon distances, of shape (n,): 0 for equal shares, 1 for shares that do not overlap.

    It is the root of the Jensen-Shannon divergence in bits (Endres & Schindelin, A New Metric for Probability
    Distributions, 2003). 0 where either side has no rows.
    """
    p, q = _compute_shares(before), _compute_shares(now)
    middle = (p + q) / 2
    divergence = (_sum_divergence(p, middle) + _sum_divergence(q, middle)) / 2
    divergence[(before.sum(axis=1) == 0) | (now.sum(axis=1) == 0)] = 0.0
    return np.sqrt(np.clip(divergence, 0.0, 1.0))


def compute_missing_changes(pairs: CountPairs) -> Floats:
    """The share of missing values now less that of the reference, of shape (n,), from -1 to 1."""
    return _compute_share_changes(pairs, pairs.missing)


def compute_unseen_shares(pairs: CountPairs) -> Floats:
    """By how much the share of names without a bin has grown, of shape (n,); NaN for numbers.

    The reference has a bin for each name that was frequent enough; all others, new ones among them, are
    counted together. So the growth of their share is what new names brought at least.
    """
    changes = _compute_share_changes(pairs, pairs.other)
    return np.where(pairs.numeric, np.nan, changes)


def _compute_share_changes(pairs: CountPairs, places: np.ndarray) -> Floats:
    rows = np.arange(len(pairs))
    p, q = _compute_shares(pairs.before), _compute_shares(pairs.now)
    change: Floats = q[rows, places] - p[rows, places]
    change[(pairs.before.sum(axis=1) == 0) | (pairs.now.sum(axis=1) == 0)] = 0.0
    return change


def _compute_shares(counts: Floats) -> Floats:
    totals = counts.sum(axis=1, keepdims=True)
    shares: Floats = counts / np.where(totals > 0, totals, 1.0)
    return shares


def _sum_divergence(p: Floats, middle: Floats) -> Floats:
    """The Kullback-Leibler divergences of p from the middle, in bits."""
    ratio = np.divide(p, middle, out=np.ones_like(p), where=p > 0)
    total: Floats = np.sum(p * np.log2(ratio), axis=1)
    return total
