"""One fit of a backtest: the recipe of a training without its search.

The parameters are fixed. The number of trees is found by early stopping on a validation part, the calibration
is fitted on that part, and the model is then fitted on all rows: as the search and the fit of a training do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.backtest.past.rows import PastRows
from evergreen.documents import JsonObject, read_document, write_document
from evergreen.errors import NotEnoughData
from evergreen.model.calibration import apply_calibration
from evergreen.model.matrix import build_pool, select_rows
from evergreen.model.predict import predict_pool
from evergreen.training.data.checks import check_inputs
from evergreen.training.data.split import MINIMUM_ROWS, require_variety, split_for_validation
from evergreen.training.fit.calibrating import calibrate_model
from evergreen.training.fit.fitting import (
    Machine,
    build_model,
    compute_class_weights,
    fit_catboost,
    fit_model,
)
from evergreen.training.fit.parameters import Parameters

# Numbers that stand for a model's predictions in its reference profile.
_MOST_PREDICTIONS = 2_000


@dataclass(frozen=True)
class FitRecord:
    """What is kept of a fit beside the model: rows, trees, processor time in seconds, and the predictions of
    the validation part: the number of each class, or some of the numbers. `refusal` says why there is no
    model; "" where there is one."""

    rows: int
    trees: int = 0
    cpu_seconds: float = 0.0
    class_counts: Mapping[str, int] | None = None
    numbers: tuple[float, ...] = ()
    refusal: str = ""

    def list_predictions(self) -> np.ndarray:
        """Predictions of the validation part, as a reference profile takes them."""
        if self.class_counts is None:
            return np.array(self.numbers, dtype=np.float64)
        names = np.array(list(self.class_counts), dtype=object)
        return np.repeat(names, list(self.class_counts.values()))

    def to_json(self) -> JsonObject:
        """The record as its file holds it."""
        return write_document(self)

    @staticmethod
    def from_json(document: object) -> FitRecord:
        """What `to_json` returned. Raises ValueError for anything else."""
        return read_document(FitRecord, document)


def fit_rows(
    rows: PastRows, places: npt.NDArray[np.int64], parameters: Parameters, threads: int = 1
) -> tuple[Any | None, FitRecord]:
    """Fit a CatBoost model on some rows; None with the reason where they are too few or too much alike.

    `parameters` are CatBoost's, without the number of trees. The processor time is that of this thread, so it
    is only complete with one thread. Raises TrainingError when CatBoost refuses the parameters.
    """
    clock = time.thread_time()
    try:
        model, record = _fit(rows, places, parameters, Machine(threads))
    except NotEnoughData as error:
        return None, FitRecord(len(places), refusal=error.message)
    return model, replace(record, cpu_seconds=round(time.thread_time() - clock, 4))


def _fit(
    rows: PastRows, places: npt.NDArray[np.int64], parameters: Parameters, machine: Machine
) -> tuple[Any, FitRecord]:
    use_case = rows.use_case
    if len(places) < MINIMUM_ROWS:
        raise NotEnoughData(f"{len(places)} labelled rows; a model takes {MINIMUM_ROWS} or more")
    frame = rows.take_frame(places)
    require_variety(use_case, frame, "the training set")
    cut = split_for_validation(use_case, frame)
    columns, label = rows.take_inputs(places), rows.take_labels(places)
    check_inputs(use_case, columns)
    truth = label[cut.test]
    train = build_pool(use_case, select_rows(columns, cut.train), label[cut.train])
    validation = build_pool(use_case, select_rows(columns, cut.test), truth)
    weights = compute_class_weights(use_case, label[cut.train])
    options = {**parameters, "iterations": use_case.tuning.iterations}
    trial = build_model(use_case, options, machine, weights)
    stop_after = use_case.tuning.early_stopping_rounds
    fit_catboost(trial, use_case, train, eval_set=validation, early_stopping_rounds=stop_after)
    trees = int(trial.get_best_iteration()) + 1
    calibration = calibrate_model(use_case, trial, validation, truth, weights)
    if use_case.label.classes:
        apply_calibration(trial, calibration)
    predictions = predict_pool(trial, validation, use_case.label.classes, weights).predictions
    model = fit_model(
        use_case,
        columns,
        label,
        {**parameters, "iterations": trees},
        machine,
        calibration if use_case.label.classes else None,
    )
    if use_case.label.classes:
        return model, FitRecord(
            len(places), trees, class_counts=dict(Counter(map(str, predictions.tolist())))
        )
    step = max(1, len(predictions) // _MOST_PREDICTIONS)
    numbers = tuple(float(value) for value in np.sort(predictions)[::step])
    return model, FitRecord(len(places), trees, numbers=numbers)
