"""Learning curve: how the metric grows with the number of rows, and so what more rows are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from evergreen.documents import JsonObject, read_document, write_document
from evergreen.model.calibration import Calibration
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.matrix import Columns, select_rows
from evergreen.model.predict import predict_inputs
from evergreen.model.predictions import Predictions
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine, fit_model
from evergreen.training.fit.parameters import Parameters
from evergreen.usecase import UseCase

SHARES = (0.1, 0.3, 0.6)
_LEAST_ROWS = 30
# The metric on the training part is measured on so many rows at most, which is enough for a mean.
_MOST_TRAIN_ROWS = 5_000


@dataclass(frozen=True)
class LearningPoint:
    """The gate's metric of a model fitted on that `share` of the training part, which is so many `rows`:
    on the rows it was fitted on (`train`) and on the hold-out."""

    share: float
    rows: int
    train: float
    holdout: float

    def to_json(self) -> JsonObject:
        """The fields by their names."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> LearningPoint:
        """What `to_json` returned."""
        return read_document(LearningPoint, document)


def compute_learning_curve(
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    cut: Cut,
    params: Parameters,
    machine: Machine,
    calibration: Calibration | None,
    whole: Any,
) -> list[LearningPoint]:
    """Fit models on growing shares of the training part and measure each on that share and on the hold-out.

    The shares are drawn by seed, each within the next; `whole` is the model fitted on all of it. Shares that
    are too small to hold every class are left out.
    """
    places = np.random.default_rng(use_case.tuning.seed).permutation(np.flatnonzero(cut.train))
    holdout_columns = select_rows(columns, cut.test)
    points = []
    for share in (*SHARES, 1.0):
        fit_rows = np.zeros(len(label), dtype=bool)
        fit_rows[places[: round(share * len(places))]] = True
        if fit_rows.sum() < _LEAST_ROWS or _lacks_classes(use_case, label[fit_rows]):
            continue
        model = whole
        if share < 1.0:
            recipe = params, machine, calibration
            model = fit_model(use_case, select_rows(columns, fit_rows), label[fit_rows], *recipe)
        train_rows = np.zeros(len(label), dtype=bool)
        train_rows[places[: min(_MOST_TRAIN_ROWS, int(fit_rows.sum()))]] = True
        train_scores = predict_inputs(use_case, model, select_rows(columns, train_rows))
        holdout_scores = predict_inputs(use_case, model, holdout_columns)
        train = _measure_gate_metric(use_case, label[train_rows], train_scores)
        holdout = _measure_gate_metric(use_case, label[cut.test], holdout_scores)
        if train is not None and holdout is not None:
            points.append(LearningPoint(share, int(fit_rows.sum()), train, holdout))
    return points


def _lacks_classes(use_case: UseCase, label: np.ndarray) -> bool:
    least = len(use_case.label.classes) or 2
    return len(np.unique(label.astype(str))) < least


def _measure_gate_metric(use_case: UseCase, label: np.ndarray, scores: Predictions) -> float | None:
    metric = use_case.gate.metric
    return compute_metrics(use_case, label, scores, [metric]).get(metric)
