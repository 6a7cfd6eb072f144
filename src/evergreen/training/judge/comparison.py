"""Candidate, champion and baselines compared on the same hold-out: metrics, intervals and gains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.documents import JsonObject
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.judging.resampling import Resamples, bootstrap_metrics, compute_gain, compute_intervals
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

RIVALS = ("champion", "linear", "dummy")
CONTESTANTS = ("candidate", *RIVALS)
# Decimals of intervals and gains; a hold-out does not determine more.
_DIGITS = 6

# Metrics by name.
Metrics = Mapping[str, float]


@dataclass(frozen=True)
class RivalGain:
    """What the candidate gains on a rival in the gate's metric; positive where the candidate is better.

    `value` on the hold-out itself; `low` and `high` bound its 95 % interval over paired resamples. `share`:
    share of the resamples in which the candidate is better by the gate's margin; `better`: by anything above
    0, None in evaluations of versions that did not record it.
    """

    value: float
    low: float
    high: float
    share: float
    better: float | None

    def to_json(self) -> dict[str, float]:
        """The fields by their names; "better" only where it is known."""
        better = {} if self.better is None else {"better": self.better}
        return {"value": self.value, "low": self.low, "high": self.high, "share": self.share, **better}

    @classmethod
    def from_json(cls, data: Mapping[str, float]) -> RivalGain:
        """What `to_json` returned."""
        return cls(data["value"], data["low"], data["high"], data["share"], data.get("better"))


@dataclass(frozen=True)
class Comparison:
    """The figures of all contestants on the same rows.

    `metrics` by contestant, None for one that took no part. `intervals`: of each contestant's metrics (low,
    high), 95 %, percentile bootstrap. `gains` by rival, None where the gate's metric is not defined.
    `resamples`: their number.
    """

    metrics: Mapping[str, Metrics | None]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    gains: Mapping[str, RivalGain | None]
    resamples: int

    def to_json(self) -> JsonObject:
        """The metrics by contestant, "intervals", "gains" and "resamples"."""
        return {
            **{name: None if values is None else dict(values) for name, values in self.metrics.items()},
            "intervals": {
                name: {metric: list(bounds) for metric, bounds in each.items()}
                for name, each in self.intervals.items()
            },
            "gains": {name: gain.to_json() if gain else None for name, gain in self.gains.items()},
            "resamples": self.resamples,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""
        return cls(
            metrics={name: data.get(name) for name in CONTESTANTS},
            intervals={
                name: {metric: (low, high) for metric, (low, high) in (each or {}).items()}
                for name, each in (data.get("intervals") or {}).items()
            },
            gains={
                name: RivalGain.from_json(gain) if gain else None
                for name, gain in (data.get("gains") or {}).items()
            },
            resamples=data.get("resamples", 0),
        )


def compare_contestants(
    use_case: UseCase, label: np.ndarray, contestants: Mapping[str, Predictions | None], resamples: Resamples
) -> Comparison:
    """Measure every contestant on the same rows, with intervals and paired gains.

    `label`: of shape (rows,). `contestants`: the answers of "candidate" and those of RIVALS, None for one
    that takes no part.
    """
    metrics = {
        name: compute_metrics(use_case, label, scores) if scores is not None else None
        for name, scores in contestants.items()
    }
    samples = {
        name: bootstrap_metrics(use_case, label, scores, resamples)
        for name, scores in contestants.items()
        if scores is not None
    }
    return Comparison(
        metrics=metrics,
        intervals={
            name: {
                metric: (round(low, _DIGITS), round(high, _DIGITS))
                for metric, (low, high) in compute_intervals(each).items()
            }
            for name, each in samples.items()
        },
        gains={name: _compute_rival_gain(use_case, name, metrics, samples) for name in RIVALS},
        resamples=len(next(iter(samples["candidate"].values()))),
    )


def _compute_rival_gain(
    use_case: UseCase,
    rival: str,
    metrics: Mapping[str, Metrics | None],
    samples: Mapping[str, Mapping[str, np.ndarray]],
) -> RivalGain | None:
    """The gain on that rival, by the margin that the gate asks for; None where it is not defined."""
    gate, metric = use_case.gate, use_case.gate.metric
    candidate_metrics, rival_metrics = metrics["candidate"], metrics.get(rival)
    assert candidate_metrics is not None
    if rival_metrics is None or metric not in candidate_metrics or metric not in rival_metrics:
        return None
    margin = {"champion": gate.margin, "linear": gate.baseline_margin}.get(rival, 0.0)
    gain = compute_gain(
        metric,
        samples["candidate"][metric],
        samples[rival][metric],
        candidate_metrics[metric],
        rival_metrics[metric],
        margin,
    )
    if gain is None:
        return None
    return RivalGain(
        *(round(float(each), _DIGITS) for each in (gain.value, gain.low, gain.high, gain.share, gain.better))
    )
