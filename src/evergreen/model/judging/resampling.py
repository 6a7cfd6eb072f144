"""The uncertainty of metrics by a cluster bootstrap, and paired comparisons of two models.

A resample draws entities with replacement, each with all its rows. Rows of one entity are alike, so drawing
rows one by one would make the intervals too narrow (Field & Welsh, Bootstrapping Clustered Data, JRSS B,
2007). How often an entity is drawn is the weight of its rows: see `model/judging/weighted.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import LESS_IS_BETTER, METRICS
from evergreen.model.judging.weighted import Counts, Floats, build_metric_function
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

# How many rows all resamples may have together, and how many resamples there are at least.
_MOST_CELLS = 50_000_000
_MINIMUM_RESAMPLES = 200
# Weights that are computed at once: 2 MB, so that they stay in the processor's cache.
_CHUNK_CELLS = 500_000


@dataclass(frozen=True, eq=False)
class Resamples:
    """`count` resamples of n rows in `groups` groups; `codes`, of shape (n,) and dtype intp, are 0..groups-1.

    They are not held in memory: each iteration draws the same ones from `seed`.
    """

    codes: npt.NDArray[np.intp]
    groups: int
    count: int
    seed: int

    def chunks(self) -> Iterator[Counts]:
        """How often each group is drawn, in chunks of shape (some resamples, groups); all have count rows."""
        rng = np.random.default_rng(self.seed)
        step = max(1, _CHUNK_CELLS // max(len(self.codes), self.groups))
        for start in range(0, self.count, step):
            size = min(step, self.count - start)
            draws = rng.integers(0, self.groups, (size, self.groups))
            draws += np.arange(size)[:, None] * self.groups
            counts = np.bincount(draws.ravel(), minlength=size * self.groups)
            yield counts.reshape(size, self.groups).astype(np.int32)

    def weights(self) -> npt.NDArray[np.float32]:
        """How often each row is drawn, of shape (count, n), all in memory: for few rows."""
        return np.concatenate([chunk[:, self.codes] for chunk in self.chunks()]).astype(np.float32)


@dataclass(frozen=True)
class Gain:
    """How much better a candidate is than another model, its rival, in the metric's unit; positive is better.

    `value` is the gain on the rows themselves, `low` and `high` are its percentile interval over paired
    resamples. `share` is the share of resamples whose gain is enough, `better` that of those with a gain
    above 0.
    """

    value: float
    low: float
    high: float
    share: float
    better: float


def draw_resamples(groups: np.ndarray, seed: int, most: int = 1000) -> Resamples:
    """Resamples of n rows, drawn by group. `groups`, of shape (n,): any integers, equal for one entity.

    Many rows are resampled less often, so that rows times resamples stay below 5e7, but 200 times at least
    (or `most`, if that is less). Raises TrainingError without rows.
    """
    if len(groups) == 0:
        raise TrainingError("there are no rows to resample", hint="the hold-out must not be empty")
    distinct_groups, codes = np.unique(groups, return_inverse=True)
    count = min(most, max(_MINIMUM_RESAMPLES, _MOST_CELLS // len(groups)))
    return Resamples(codes.reshape(-1).astype(np.intp), len(distinct_groups), count, seed)


def bootstrap_metrics(
    use_case: UseCase, label: np.ndarray, scores: Predictions, resamples: Resamples
) -> dict[str, Floats]:
    """Every metric of `METRICS` in each resample, of shape (count,); NaN where it is undefined there.

    `label`, of shape (n,): class names or numbers. The metrics are those of `compute_metrics`, with how often
    a row is drawn as its weight. The same resamples with other scores give paired samples.
    """
    measure = build_metric_function(use_case, label, scores, resamples.codes, resamples.groups)
    metrics_by_chunk = [measure(chunk) for chunk in resamples.chunks()]
    return {
        name: np.concatenate([each[name] for each in metrics_by_chunk]) for name in METRICS[use_case.problem]
    }


def compute_intervals(
    samples: Mapping[str, np.ndarray], level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile intervals (Efron & Tibshirani, An Introduction to the Bootstrap, 1993) that hold `level`.

    Resamples where a metric is NaN are ignored; metrics that are NaN in more than half are left out.
    """
    intervals = {}
    for name, values in samples.items():
        defined = values[np.isfinite(values)]
        if len(defined) and 2 * len(defined) >= len(values):
            intervals[name] = _compute_percentiles(defined, level)
    return intervals


def compute_gain(
    metric: str,
    candidate: np.ndarray,
    rival: np.ndarray,
    point_candidate: float,
    point_rival: float,
    margin: float,
    level: float = 0.95,
) -> Gain | None:
    """By how much `candidate` is better than `rival`: paired samples of shape (B,), and the values of both.

    `share` counts the resamples whose gain exceeds 0 where `margin` is 0, for an equal model is no reason for
    a change; with another margin, those whose gain reaches it. Pairs with NaN are ignored; None where more
    than half are.
    """
    sign = -1.0 if metric in LESS_IS_BETTER else 1.0
    differences = sign * (candidate - rival)
    defined = differences[np.isfinite(differences)]
    if not len(defined) or 2 * len(defined) < len(differences):
        return None
    enough = defined > 0.0 if margin == 0 else defined >= margin
    low, high = _compute_percentiles(defined, level)
    better = float((defined > 0.0).mean())
    return Gain(float(sign * (point_candidate - point_rival)), low, high, float(enough.mean()), better)


def _compute_percentiles(values: np.ndarray, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
