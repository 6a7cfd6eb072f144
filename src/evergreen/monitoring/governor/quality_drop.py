"""Whether the outcomes that came show a drop in the champion's quality, by a cumulated sum (CUSUM).

For point i with the mean loss x_i of n_i rows, z_i = (x_i - e_i - b - min_drop / 2) sqrt(n_i) / deviation
and S_i = max(0, S_{i-1} + z_i); a drop is found when S exceeds the limit (Page, Continuous inspection
schemes, Biometrika, 1954). The point after which S was last 0 estimates when the drop began.

e_i is the loss that the model's own probabilities lead one to expect on the same rows, which has next to no
noise and leaves out what merely harder rows explain. b is how far the model was off on its hold-out already,
shrunk by its standard error s as in the positive part of James and Stein's estimator, b = g max(0, 1 - s²/g²)
for the gap g: a model that is too sure of itself is not taken for a stale one. Where no loss is expected, e_i
is the loss on the hold-out, and without a hold-out that of the first point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from evergreen.monitoring.governor.inputs import QualityPoint, RealisedEvidence
from evergreen.usecase import RetrainPolicy

# Where neither the hold-out nor a point has a wrong answer, any excess counts, and none is none.
_SMALLEST_DEVIATION = 1e-9


@dataclass(frozen=True)
class QualityDrop:
    """The cumulated sum after the last point, and the drop behind it.

    `statistic` is S, `rows` are those since S was last 0, `drop` is how much worse their mean is than the
    reference (positive is worse), in units of the metric; `since` is the beginning of their event times, None
    where S is 0.
    """

    statistic: float
    drop: float
    rows: int
    since: datetime | None


def measure_quality_drop(policy: RetrainPolicy, evidence: RealisedEvidence) -> QualityDrop:
    """The cumulated sum over the points of the evidence. Points without rows or without a
    finite value are skipped."""
    points = [point for point in evidence.points if point.rows > 0 and math.isfinite(point.value)]
    reference = evidence.reference or next(iter(points), None)
    if reference is None:
        return QualityDrop(0.0, 0.0, 0, None)
    sign = 1.0 if evidence.less_is_better else -1.0
    bias = _measure_bias(reference) if evidence.reference else 0.0
    statistic, losses, rows, since = 0.0, 0.0, 0, None
    for point in points:
        expected = reference.value if point.expected is None else point.expected + bias
        excess = sign * (point.value - expected)
        deviation = max(point.deviation, reference.deviation)
        score = excess - policy.min_drop / 2
        z = score * math.sqrt(point.rows) / max(deviation, _SMALLEST_DEVIATION)
        if statistic + z <= 0.0:
            statistic, losses, rows, since = 0.0, 0.0, 0, None
            continue
        statistic, losses, rows = statistic + z, losses + excess * point.rows, rows + point.rows
        since = since or point.start
    return QualityDrop(statistic, losses / rows if rows else 0.0, rows, since)


def _measure_bias(reference: QualityPoint) -> float:
    """How far the hold-out's value is from the expected one, shrunk by its noise; 0 without an expected
    one."""
    if reference.expected is None or reference.rows < 1:
        return 0.0
    gap = reference.value - reference.expected
    noise = reference.deviation / math.sqrt(reference.rows)
    return gap - noise**2 / gap if abs(gap) > noise else 0.0
