"""The evaluation of a candidate: what the gate, the model card and MLflow tell of it, as one document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from evergreen.model.judging.metrics import compute_metrics, compute_reliability_bins
from evergreen.model.judging.resampling import Resamples, bootstrap_metrics, compute_gain, compute_intervals
from evergreen.model.judging.slices import compute_slice_metrics
from evergreen.model.matrix import Columns
from evergreen.model.predictions import Predictions
from evergreen.usecase import UseCase

RIVALS = ("champion", "linear", "dummy")
# What intervals and gains are told to: a model is known to four digits at best.
_DIGITS = 6


def compare_contestants(
    use_case: UseCase, label: np.ndarray, contestants: Mapping[str, Predictions | None], drawn: Resamples
) -> dict[str, Any]:
    """Metrics of every contestant on the same rows, with intervals, and what the candidate gains on each.

    `contestants` are "candidate" and those of RIVALS, None for one that takes no part. Returns, JSON-able,
    the metrics by contestant, "intervals" (95 %, percentile bootstrap) and "gains": by rival {"value", "low",
    "high", "share", "better"} on the gate's metric, from the same resamples (paired), positive where the
    candidate is better: `share` of them by the gate's margin, `better` by anything; None where it is not
    defined.
    """
    values = {
        name: compute_metrics(use_case, label, given) if given is not None else None
        for name, given in contestants.items()
    }
    samples = {
        name: bootstrap_metrics(use_case, label, given, drawn)
        for name, given in contestants.items()
        if given is not None
    }
    metric, margin = use_case.gate.metric, use_case.gate.margin
    own = values["candidate"]
    assert own is not None
    gains: dict[str, Any] = {}
    for name in RIVALS:
        other = values.get(name)
        if other is None or metric not in own or metric not in other:
            gains[name] = None
            continue
        asked = margin if name == "champion" else use_case.gate.baseline_margin if name == "linear" else 0.0
        found = compute_gain(
            metric, samples["candidate"][metric], samples[name][metric], own[metric], other[metric], asked
        )
        gains[name] = found and {key: round(float(value), _DIGITS) for key, value in asdict(found).items()}
    bounds = {
        name: {
            metric: [round(low, _DIGITS), round(high, _DIGITS)]
            for metric, (low, high) in compute_intervals(each).items()
        }
        for name, each in samples.items()
    }
    return {
        **values,
        "intervals": bounds,
        "gains": gains,
        "resamples": len(next(iter(samples["candidate"].values()))),
    }


def evaluate_calibration(
    use_case: UseCase,
    label: np.ndarray,
    before: Predictions,
    after: Predictions,
    scale: float,
    bias: list[float],
) -> dict[str, Any] | None:
    """What calibrating was worth on the hold-out, and the reliability diagram's bins; None for numbers."""
    if not use_case.label.classes:
        return None
    told = ("calibration_error", "log_loss", "brier")
    by = {
        name: {
            metric: value
            for metric, value in compute_metrics(use_case, label, given).items()
            if metric in told
        }
        for name, given in (("before", before), ("after", after))
    }
    return {
        "scale": scale,
        "bias": bias,
        **by,
        "bins_before": [dict(each) for each in compute_reliability_bins(use_case, label, before)],
        "bins": [dict(each) for each in compute_reliability_bins(use_case, label, after)],
    }


def evaluate_slices(
    use_case: UseCase, columns: Columns, label: np.ndarray, answers: Predictions
) -> list[dict[str, Any]]:
    """A contestant's results in every declared group."""
    return compute_slice_metrics(use_case, columns, label, answers) if use_case.slices else []
