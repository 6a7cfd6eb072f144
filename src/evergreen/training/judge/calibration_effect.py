"""What calibrating the probabilities changed on the hold-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.calibration import Calibration
from evergreen.model.judging.metrics import ReliabilityBin, compute_metrics, compute_reliability_bins
from evergreen.model.predictions import Predictions
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
    bins_before: Sequence[ReliabilityBin] = ()
    bins: Sequence[ReliabilityBin] = ()

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> CalibrationEffect:
        """What `to_json` returned, in this version or an earlier one, which may lack some of its keys."""
        return read_document(CalibrationEffect, document)


def measure_calibration_effect(
    use_case: UseCase, label: np.ndarray, before: Predictions, after: Predictions, calibration: Calibration
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


def _measure(use_case: UseCase, label: np.ndarray, scores: Predictions) -> dict[str, float]:
    return compute_metrics(use_case, label, scores, _METRICS)
