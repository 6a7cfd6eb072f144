"""How small a p-value must be, when many features are tested and the data are looked at again and again.

Within one check, Holm's method (A Simple Sequentially Rejective Multiple Test Procedure, 1979) keeps the
probability of any false rejection below the level, however the tests depend on each other. Over the checks,
the level is spent (Lan & DeMets, Discrete Sequential Boundaries for Clinical Trials, 1983): check number n
gets alpha / (n (n + 1)), and these add up to alpha over infinitely many checks. So the probability that a
stream in which nothing changes is ever called is at most alpha, without an assumption on how the checks
depend on each other. They do depend: all are compared with one and the same reference, which is a sample.
"""

from __future__ import annotations

import numpy as np

from evergreen.monitoring.drift.figures.count_pairs import Floats


def compute_check_level(alpha: float, check_number: int) -> float:
    """What check number n (1, 2, ...) may spend of the level `alpha`."""
    return alpha / (check_number * (check_number + 1))


def adjust_p_values(p_values: Floats) -> Floats:
    """Holm's adjusted p-values, of the same shape: each may be compared with the level. NaN is no test, and
    stays."""
    flat = p_values.ravel()
    tested = np.flatnonzero(~np.isnan(flat))
    order = tested[np.argsort(flat[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full_like(flat, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(flat[order] * factors))
    return adjusted.reshape(p_values.shape)
