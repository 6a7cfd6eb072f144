"""What calibrating the probabilities changed on the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.model.calibration import Calibration
from evergreen.model.judging.metrics import (
    ReliabilityBin,
    Scores,
    compute_metrics,
    compute_reliability_bins,
)
from evergreen.training.json_values import JsonObject
from evergreen.usecase import UseCase

_METRICS = ("calibration_error", "log_loss", "brier")


@dataclass(frozen=True)
class CalibrationEffect:
    """The calibration's scale and bias, and metrics and reliability diagram without it and with it.

    `before` and `after` hold calibration error, log loss and Brier score; `bins_before` and `bins` are the
    bins of the reliability diagram.
    """

    scale: float
    bias: Sequence[float]
    before: Mapping[str, float]
    after: Mapping[str, float]
    bins_before: Sequence[ReliabilityBin]
    bins: Sequence[ReliabilityBin]

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return {
            "scale": self.scale,
            "bias": list(self.bias),
            "before": dict(self.before),
            "after": dict(self.after),
            "bins_before": [_bin_to_json(each) for each in self.bins_before],
            "bins": [_bin_to_json(each) for each in self.bins],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CalibrationEffect:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""
        return cls(
            scale=data["scale"],
            bias=data["bias"],
            before=data["before"],
            after=data["after"],
            bins_before=data.get("bins_before") or (),
            bins=data.get("bins") or (),
        )


def measure_calibration_effect(
    use_case: UseCase, label: np.ndarray, before: Scores, after: Scores, calibration: Calibration
) -> CalibrationEffect:
    """Measure the answers without and with the calibration on the rows of `label`, class names."""
    return CalibrationEffect(
        scale=calibration.scale,
        bias=calibration.bias,
        before=_measure(use_case, label, before),
        after=_measure(use_case, label, after),
        bins_before=compute_reliability_bins(use_case, label, before),
        bins=compute_reliability_bins(use_case, label, after),
    )


def _measure(use_case: UseCase, label: np.ndarray, scores: Scores) -> dict[str, float]:
    metrics = compute_metrics(use_case, label, scores)
    return {name: value for name, value in metrics.items() if name in _METRICS}


def _bin_to_json(each: ReliabilityBin) -> dict[str, float]:
    return {"confidence": each["confidence"], "accuracy": each["accuracy"], "rows": each["rows"]}
