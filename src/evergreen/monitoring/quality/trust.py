"""Whether estimates of quality can be trusted: by how often they have been right where outcomes came."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from evergreen.store.records.checks.quality_metric import QualityMetric

# A day with fewer outcomes tells next to nothing of its estimate.
LEAST_ROWS = 50
# With fewer days nothing is known yet; older days than the newest so many do not count.
_LEAST_DAYS = 5
_MOST_DAYS = 30
# A band of 95 % misses now and then; in fewer than this share of the days it is not what it claims.
_LEAST_COVERAGE = 0.8
# So many misses in a row, up to the newest day, say that something has changed: concept drift, for example.
_MISSES_IN_A_ROW = 3


@dataclass(frozen=True)
class PastEstimate:
    """The estimate of a day and what was realised there, each with the ends of its 95 % interval."""

    day: date
    estimate: float
    low: float
    high: float
    realised: float
    realised_low: float
    realised_high: float
    rows: int

    @property
    def is_right(self) -> bool:
        """Whether both agree within their intervals: the distance is at most what both allow together."""
        if self.realised >= self.estimate:
            allowed = math.hypot(self.high - self.estimate, self.realised - self.realised_low)
        else:
            allowed = math.hypot(self.estimate - self.low, self.realised_high - self.realised)
        return abs(self.realised - self.estimate) <= allowed


@dataclass(frozen=True)
class Trust:
    """Whether the estimates of a metric are trusted, None where it is not known yet, and why.

    `coverage` is the share of the `days` with outcomes on which the estimate was right, None without any.
    """

    trusted: bool | None
    reason: str
    days: int
    coverage: float | None


def judge_trust(metric: str, past: Sequence[PastEstimate]) -> Trust:
    """Judge the estimates of a metric by those of earlier days.

    Only days with 50 outcomes or more count, of them the newest 30. Below five such days it is not known yet;
    otherwise the estimates are trusted unless fewer than 80 % of them were right, or the newest three were
    wrong.
    """
    days = sorted((each for each in past if each.rows >= LEAST_ROWS), key=lambda each: each.day)[-_MOST_DAYS:]
    if not days:
        return Trust(
            None, f"not yet known: no day has {LEAST_ROWS} outcomes to compare its estimate with", 0, None
        )
    right = sum(each.is_right for each in days)
    coverage = right / len(days)
    figures = f"the estimated {metric} was right on {right} of {len(days)} days with outcomes"
    if len(days) < _LEAST_DAYS:
        return Trust(None, f"not yet known: {figures}, and it takes {_LEAST_DAYS}", len(days), coverage)
    newest = days[-_MISSES_IN_A_ROW:]
    if not any(each.is_right for each in newest):
        reason = f"not trusted: {figures}, and wrong on the newest {len(newest)}, up to {days[-1].day}"
        return Trust(False, reason, len(days), coverage)
    if coverage < _LEAST_COVERAGE:
        return Trust(
            False, f"not trusted: {figures}, and it takes {_LEAST_COVERAGE:.0%}", len(days), coverage
        )
    return Trust(True, f"trusted: {figures}", len(days), coverage)


def pair_estimates(metric: str, rows: Iterable[QualityMetric]) -> list[PastEstimate]:
    """The days of which both the estimate and the realised value of a metric are stored, of all rows."""
    estimated: dict[tuple[date, int], QualityMetric] = {}
    realised: dict[tuple[date, int], QualityMetric] = {}
    for row in rows:
        if row.metric == metric and not row.slice_name and row.value is not None:
            (estimated if row.kind == "estimated" else realised)[row.day, row.model_version] = row
    pairs = []
    for key in sorted(estimated.keys() & realised.keys()):
        one, other = estimated[key], realised[key]
        ends = (one.low, one.high, other.low, other.high)
        if None in ends:
            continue
        low, high, realised_low, realised_high = (float(end) for end in ends if end is not None)
        assert one.value is not None
        assert other.value is not None
        pairs.append(
            PastEstimate(one.day, one.value, low, high, other.value, realised_low, realised_high, other.rows)
        )
    return pairs
