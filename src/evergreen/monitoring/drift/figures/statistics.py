"""All figures of many comparisons at once, and the severity of each by a policy's limits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.monitoring.drift.figures.correction import adjust_p_values, compute_check_level
from evergreen.monitoring.drift.figures.count_pairs import CountPairs, Flags, Floats
from evergreen.monitoring.drift.figures.distances import (
    compute_js_distances,
    compute_missing_changes,
    compute_unseen_shares,
)
from evergreen.monitoring.drift.figures.psi import compute_chance_psis, compute_psis
from evergreen.monitoring.drift.figures.significance import compute_bin_test, compute_g_test, compute_ks_test
from evergreen.store.records.checks.drift_metric import SEVERITIES
from evergreen.usecase import DriftPolicy

# Severities as places in `SEVERITIES`, so that arrays of them have a maximum.
NONE, UNKNOWN, WARNING, DRIFT = range(len(SEVERITIES))

_ROUNDING = 1e-9

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Statistics:
    """The figures of n comparisons, each of shape (n,).

    p-values are corrected for all tests of the check; NaN where a test does not apply. `level` is what they
    must not exceed. Severities are places in `SEVERITIES`.
    """

    level: float
    rows: Floats
    psi: Floats
    chance: Floats
    js_distance: Floats
    g_test_p: Floats
    ks_p: Floats
    missing_change: Floats
    missing_p: Floats
    unseen_share: Floats
    unseen_p: Floats
    psi_severity: Places
    missing_severity: Places
    unseen_severity: Places

    @property
    def severity(self) -> Places:
        """The greatest severity of each comparison, shape (n,)."""
        return np.maximum(np.maximum(self.psi_severity, self.missing_severity), self.unseen_severity)

    @property
    def p_value(self) -> Floats:
        """The smallest p-value of each comparison, shape (n,); NaN where nothing was tested."""
        tests = np.stack([self.g_test_p, self.ks_p, self.missing_p, self.unseen_p])
        smallest = np.where(np.isnan(tests), np.inf, tests).min(axis=0)
        return np.where(np.isinf(smallest), np.nan, smallest)


def compute_statistics(policy: DriftPolicy, pairs: CountPairs, check_number: int) -> Statistics:
    """Measure and judge all comparisons of a check, the `check_number`-th (1, 2, ...) of its stream.

    A comparison with fewer rows in the window than `policy.min_rows`, or none in the reference, is not
    tested, and its severities are "unknown".
    """
    rows = pairs.now.sum(axis=1)
    enough = (rows >= policy.min_rows) & (pairs.before.sum(axis=1) > 0)
    tests = np.stack(
        [
            compute_g_test(pairs),
            compute_ks_test(pairs),
            compute_bin_test(pairs, pairs.missing),
            compute_bin_test(pairs, pairs.other),
        ]
    )
    adjusted = adjust_p_values(np.where(enough, tests, np.nan))
    level = compute_check_level(policy.alpha, check_number)
    psi = compute_psis(pairs.before, pairs.now)
    missing, unseen = compute_missing_changes(pairs), compute_unseen_shares(pairs)

    def judge(effect: Floats, limit: float, *p_values: Floats) -> Places:
        severity = np.zeros(len(pairs), dtype=np.intp)
        severity[_is_real(effect, limit * policy.warning_share, policy.alpha, *p_values)] = WARNING
        severity[_is_real(effect, limit, level, *p_values)] = DRIFT
        severity[~enough] = UNKNOWN
        return severity

    return Statistics(
        level=level,
        rows=rows,
        psi=psi,
        chance=compute_chance_psis(pairs.before, pairs.now),
        js_distance=compute_js_distances(pairs.before, pairs.now),
        g_test_p=adjusted[0],
        ks_p=adjusted[1],
        missing_change=missing,
        missing_p=adjusted[2],
        unseen_share=unseen,
        unseen_p=adjusted[3],
        psi_severity=judge(psi, policy.psi_threshold, adjusted[0], adjusted[1]),
        missing_severity=judge(np.abs(missing), policy.missing_threshold, adjusted[2]),
        unseen_severity=judge(unseen, policy.unseen_threshold, adjusted[3]),
    )


def _is_real(effect: Floats, limit: float, level: float, *p_values: Floats) -> Flags:
    """Where an effect reaches its limit and a test says that it is not chance. Comparisons with NaN, which is
    no figure and no test, are false. A difference of shares such as 0.6 - 0.5 reaches 0.1."""
    significant = np.logical_or.reduce([p_value <= level for p_value in p_values])
    real: Flags = (effect >= limit - _ROUNDING) & significant
    return real
