"""Which of the replayed policies to declare: the one that keeps nearly all of the gain for the fewest
retrains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.backtest.outcomes import Judged, Periods
from evergreen.backtest.result import PolicyOutcome, Recommendation

# How much of the best policy's gain over never retraining is asked for.
ENOUGH = 0.95
_CERTAIN = 1.96  # standard errors


@dataclass(frozen=True)
class _Difference:
    """How much better one policy's answers were than another's, and the standard error of that."""

    value: float
    error: float

    @property
    def is_certain(self) -> bool:
        """Whether more than chance speaks for the first."""
        return self.value > _CERTAIN * self.error


def recommend_policy(
    judged: Sequence[Judged], periods: Periods, metric: str, *, less_is_better: bool, row_less_is_better: bool
) -> Recommendation:
    """Choose among the policies, the first of equals.

    `metric` is the gate's; the two flags say whether less of it is better, and of the value of single rows,
    which tells whether a gain is more than chance.
    """
    sign = -1.0 if less_is_better else 1.0
    outcomes = [each.outcome for each in judged if math.isfinite(each.outcome.value)]
    if not outcomes:
        declared = judged[0].outcome
        reason = f"{metric} is defined for none of the policies, so the first one stands"
        return Recommendation(declared.name, declared.declaration, reason)
    best = max(outcomes, key=lambda outcome: (sign * outcome.value, -outcome.retrains))
    least = min(outcomes, key=lambda outcome: (outcome.retrains, -sign * outcome.value))
    gain = sign * (best.value - least.value)
    by_name = {each.outcome.name: each for each in judged}
    difference = _compare(by_name[best.name], by_name[least.name], periods, row_less_is_better)
    if best is least:
        reason = (
            f"no policy was better than {_describe(least)}, which retrains least ({metric} {least.value:.4f})"
        )
        return Recommendation(least.name, least.declaration, reason)
    if not difference.is_certain:
        reason = (
            f"no policy was surely better than {_describe(least)} ({metric} {least.value:.4f}); the best,"
            f" {_describe(best)}, reached {best.value:.4f}, which may be chance"
        )
        return Recommendation(least.name, least.declaration, reason)
    enough = [o for o in outcomes if sign * (o.value - least.value) >= ENOUGH * gain]
    choice = min(enough, key=lambda outcome: (outcome.retrains, outcome.cpu_seconds))
    share = sign * (choice.value - least.value) / gain
    retrains = "1 retrain" if choice.retrains == 1 else f"{choice.retrains:,} retrains"
    reason = f"{metric} {choice.value:.4f} with {retrains}"
    if choice is not best:
        reason += (
            f", {share:.0%} of what the best, {_describe(best)}, gains with {best.retrains:,}"
            f" ({best.value:.4f})"
        )
    reason += f"; {_describe(least)} reached {least.value:.4f} with {least.retrains:,}"
    return Recommendation(choice.name, choice.declaration, reason)


def _describe(outcome: PolicyOutcome) -> str:
    return f"{outcome.name!r}"


def _compare(one: Judged, other: Judged, periods: Periods, less_is_better: bool) -> _Difference:
    """By the mean over rows; rows of one period vary together, so the error is that of the periods' sums."""
    sign = -1.0 if less_is_better else 1.0
    differences = sign * (one.values - other.values)
    mean = float(differences.mean())
    count = len(periods.starts)
    sums = np.bincount(periods.codes, differences - mean, minlength=count)
    clusters = max(2, int(np.count_nonzero(periods.rows)))
    error = math.sqrt(float(np.square(sums).sum()) * clusters / (clusters - 1)) / len(differences)
    return _Difference(mean, error)
