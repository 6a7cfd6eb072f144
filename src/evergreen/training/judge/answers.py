"""Predictions of baselines, and of models on the rows that they were not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.model.matrix import Columns, build_input_frame, select_rows
from evergreen.model.predict import decide_classes, predict_inputs
from evergreen.model.predictions import Predictions
from evergreen.training.data.split import Cut
from evergreen.usecase import UseCase


def score_baseline(
    use_case: UseCase, baseline: Any, columns: Columns, weights: Sequence[float] = ()
) -> Predictions:
    """A scikit-learn baseline's predictions of n rows; with `weights` the class of least expected cost.

    `columns` hold every input of the model, each of shape (n,).
    """
    frame = build_input_frame(use_case, columns)
    if not use_case.label.classes:
        return Predictions(np.asarray(baseline.predict(frame), dtype=np.float64), None)
    # scikit-learn sorts classes by name.
    order = [list(baseline.classes_).index(name) for name in use_case.label.classes]
    probabilities = np.asarray(baseline.predict_proba(frame), dtype=np.float64)[:, order]
    return decide_classes(probabilities, use_case.label.classes, weights)


def score_holdout(
    use_case: UseCase, models: Sequence[Any], columns: Columns, cuts: Sequence[Cut], of: Any = predict_inputs
) -> Predictions:
    """Every held-out row's answer by the model of its cut, which was not fitted on it.

    In the order of the rows, without those that no cut holds out. `of` is `predict_inputs` or
    `score_baseline`.
    """
    held_out = find_holdout_rows(cuts)
    place = np.cumsum(held_out) - 1
    predictions: np.ndarray = np.empty(
        int(held_out.sum()), dtype=object if use_case.label.classes else np.float64
    )
    classes = len(use_case.label.classes)
    probabilities = np.empty((len(predictions), classes), dtype=np.float64) if classes else None
    for model, cut in zip(models, cuts, strict=True):
        outcome = of(use_case, model, select_rows(columns, cut.test))
        predictions[place[cut.test]] = outcome.predictions
        if probabilities is not None:
            probabilities[place[cut.test]] = outcome.probabilities
    return Predictions(predictions, probabilities, use_case.label.classes)


def find_holdout_rows(cuts: Sequence[Cut]) -> npt.NDArray[np.bool_]:
    """Which rows some cut holds out, of shape (rows,)."""
    return np.asarray(np.any([cut.test for cut in cuts], axis=0), dtype=np.bool_)
