"""Learning curve: what more rows are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evergreen.model.calibration import Calibration
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import Columns, select_rows
from evergreen.model.predict import predict_inputs
from evergreen.model.predictions import Predictions
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.usecase import UseCase

SHARES = (0.1, 0.3, 0.6)
_LEAST_ROWS = 30
_MOST_KNOWN_ROWS = 5_000


def compute_learning_curve(
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    cut: Cut,
    params: Mapping[str, Any],
    machine: Machine,
    calibration: Calibration | None,
    whole: Any,
) -> list[dict[str, Any]]:
    """The gate's metric, on training part and hold-out, of models fitted on growing shares of the former.

    The shares are drawn by seed, each within the next; `whole` is the model fitted on all of it. Points are
    {"share", "rows", "train", "holdout"}; shares too small to hold every class are left out.
    """
    places = np.random.default_rng(use_case.tuning.seed).permutation(np.flatnonzero(cut.train))
    held_out = select_rows(columns, cut.test)
    points = []
    for share in (*SHARES, 1.0):
        chosen = np.zeros(len(label), dtype=bool)
        chosen[places[: round(share * len(places))]] = True
        if chosen.sum() < _LEAST_ROWS or _lacks_classes(use_case, label[chosen]):
            continue
        model = whole
        if share < 1.0:
            recipe = params, machine, calibration
            model = fit_model(use_case, select_rows(columns, chosen), label[chosen], *recipe)
        # As a rule a few thousand rows tell how well known ones are answered.
        known = np.zeros(len(label), dtype=bool)
        known[places[: min(_MOST_KNOWN_ROWS, int(chosen.sum()))]] = True
        seen = predict_inputs(use_case, model, select_rows(columns, known))
        unseen = predict_inputs(use_case, model, held_out)
        point = {
            "train": _measure_gate_metric(use_case, label[known], seen),
            "holdout": _measure_gate_metric(use_case, label[cut.test], unseen),
        }
        if None not in point.values():
            points.append({"share": share, "rows": int(chosen.sum()), **point})
    return points


def _lacks_classes(use_case: UseCase, label: np.ndarray) -> bool:
    wanted = len(use_case.label.classes) or 2
    return len(np.unique(label.astype(str))) < wanted


def _measure_gate_metric(use_case: UseCase, label: np.ndarray, given: Predictions) -> float | None:
    return compute_metrics(use_case, label, given).get(use_case.gate.metric)
