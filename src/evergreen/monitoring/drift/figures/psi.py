"""The population stability index (PSI), corrected for small counts.

PSI = Σ (q_i - p_i) · ln(q_i / p_i) over bins, where p_i is the reference's share of bin i and q_i the current
one (Siddiqi, Credit Risk Scorecards, 2006): the symmetrised Kullback-Leibler divergence, in nats.

Small counts need two corrections. An empty bin makes the logarithm infinite: bins that are empty on both
sides are dropped, and half a row is added to each other bin on both sides (the Jeffreys prior of a
multinomial). And PSI is greater than 0 by chance alone: without any drift, PSI / (1/N + 1/M) follows about a
chi-squared distribution with B - 1 degrees of freedom, for N and M rows and B bins (Yurdakul, Statistical
Properties of Population Stability Index, 2018). `compute_chance_psis` gives its 99 % point; a PSI below it is
no sign of drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from evergreen.monitoring.drift.figures.count_pairs import Floats

PSEUDO_COUNT = 0.5
_NORMAL_99 = 2.3263478740408408  # the 99 % point of the standard normal distribution

# The common levels of PSI, which do not depend on the threshold of a use case.
MODERATE_PSI = 0.1
MAJOR_PSI = 0.25

# Rows by bin.
BinCounts: TypeAlias = Sequence[int] | npt.NDArray[np.int64]


def compute_psis(before: Floats, now: Floats) -> Floats:
    """The PSI in nats of n comparisons over b bins, (n, b) -> (n,); 0 where either side has no rows."""
    has_rows = (before > 0) | (now > 0)
    extra = PSEUDO_COUNT * has_rows.sum(axis=1, keepdims=True)
    p = np.where(has_rows, before + PSEUDO_COUNT, 1.0) / np.maximum(
        before.sum(axis=1, keepdims=True) + extra, 1.0
    )
    q = np.where(has_rows, now + PSEUDO_COUNT, 1.0) / np.maximum(now.sum(axis=1, keepdims=True) + extra, 1.0)
    psi = np.sum(np.where(has_rows, (q - p) * np.log(q / p), 0.0), axis=1)
    compared: Floats = np.where((before.sum(axis=1) > 0) & (now.sum(axis=1) > 0), psi, 0.0)
    return compared


def compute_chance_psis(before: Floats, now: Floats) -> Floats:
    """The PSI in nats that 99 of 100 comparisons stay below when nothing has changed, (n, b) -> (n,); 0 for
    fewer than two bins that have rows, and where either side has no rows."""
    degrees = ((before > 0) | (now > 0)).sum(axis=1) - 1
    rows_before, rows_now = before.sum(axis=1), now.sum(axis=1)
    compared = (degrees > 0) & (rows_before > 0) & (rows_now > 0)
    noise = 1 / np.maximum(rows_before, 1.0) + 1 / np.maximum(rows_now, 1.0)
    chance: Floats = np.where(compared, _compute_chi_squared_99(np.maximum(degrees, 1)) * noise, 0.0)
    return chance


def compute_psi(reference: BinCounts, current: BinCounts) -> float:
    """PSI in nats between two arrays of counts over the same bins; 0 when either side has no rows."""
    return float(compute_psis(*_build_single_rows(reference, current))[0])


def compute_chance_psi(reference: BinCounts, current: BinCounts) -> float:
    """`compute_chance_psis` of one comparison."""
    return float(compute_chance_psis(*_build_single_rows(reference, current))[0])


def classify_psi(value: float) -> str:
    """The level of a PSI as a word: "stable" below 0.1, "moderate" below 0.25, else "major"."""
    return "stable" if value < MODERATE_PSI else "moderate" if value < MAJOR_PSI else "major"


def _compute_chi_squared_99(degrees: npt.NDArray[np.int64]) -> Floats:
    """The 99 % point of chi-squared, by the approximation of Wilson and Hilferty (1931): under 1 % off."""
    spread = 2 / (9 * degrees)
    point: Floats = degrees * (1 - spread + _NORMAL_99 * spread**0.5) ** 3
    return point


def _build_single_rows(reference: BinCounts, current: BinCounts) -> tuple[Floats, Floats]:
    return np.asarray([reference], dtype=np.float64), np.asarray([current], dtype=np.float64)
