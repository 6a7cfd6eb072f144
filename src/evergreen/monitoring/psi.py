"""The population stability index (PSI), corrected for small counts.

PSI = Σ (q_i - p_i) · ln(q_i / p_i) over bins, where p_i is the reference's share of bin i and q_i the current
one (Siddiqi, Credit Risk Scorecards, 2006): the symmetrised Kullback-Leibler divergence, in nats.

Small counts need two corrections. An empty bin makes the logarithm infinite: bins that are empty on both
sides are dropped, and half a row is added to each other bin on both sides (the Jeffreys prior of a
multinomial). And PSI is greater than 0 by chance alone: without any drift, PSI / (1/N + 1/M) follows about a
chi-squared distribution with B - 1 degrees of freedom, for N and M rows and B bins (Yurdakul, Statistical
Properties of Population Stability Index, 2018). `compute_chance_psi` is its 99 % point; a PSI below it is no
sign of drift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PSEUDO_COUNT = 0.5
_NORMAL_99 = 2.3263478740408408  # the 99 % point of the standard normal distribution

# The common levels of PSI, which do not depend on the threshold of a use case.
MODERATE_PSI = 0.1
MAJOR_PSI = 0.25

# Rows by bin.
Counts = Sequence[int] | npt.NDArray[np.int64]


def compute_psi(reference: Counts, current: Counts) -> float:
    """PSI in nats between two arrays of counts over the same bins; 0 when either side has no rows."""
    before, now = _drop_empty_bins(reference, current)
    if not before.sum() or not now.sum():
        return 0.0
    p = (before + PSEUDO_COUNT) / (before.sum() + PSEUDO_COUNT * len(before))
    q = (now + PSEUDO_COUNT) / (now.sum() + PSEUDO_COUNT * len(now))
    return float(np.sum((q - p) * np.log(q / p)))


def compute_chance_psi(reference: Counts, current: Counts) -> float:
    """The PSI in nats that 99 of 100 comparisons stay below when nothing has changed; 0 for fewer than two
    bins that have rows, and when either side has no rows."""
    before, now = _drop_empty_bins(reference, current)
    if len(before) < 2 or not before.sum() or not now.sum():
        return 0.0
    return float(_chi_squared_99(len(before) - 1) * (1 / before.sum() + 1 / now.sum()))


def _chi_squared_99(degrees: int) -> float:
    """The 99 % point of chi-squared, by the approximation of Wilson and Hilferty (1931): under 1 % off."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + _NORMAL_99 * spread**0.5) ** 3)


def classify_psi(value: float) -> str:
    """The level of a PSI as a word: "stable" below 0.1, "moderate" below 0.25, else "major"."""
    return "stable" if value < MODERATE_PSI else "moderate" if value < MAJOR_PSI else "major"


def _drop_empty_bins(
    reference: Counts, current: Counts
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    before, now = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    has_rows = (before > 0) | (now > 0)
    return before[has_rows], now[has_rows]
