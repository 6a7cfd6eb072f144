"""What models answer on rows they were not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.model.decision import choose_classes, read_class_weights
from evergreen.model.judging.metrics import Scores
from evergreen.model.matrix import Columns, build_input_frame, build_pool, select_rows
from evergreen.training.data.split import Cut
from evergreen.usecase import UseCase


def score_model(use_case: UseCase, model: Any, columns: Columns) -> Scores:
    """A CatBoost model's answers."""
    data = build_pool(use_case, columns)
    if not use_case.label.classes:
        return Scores(np.asarray(model.predict(data), dtype=np.float64), None)
    probabilities = np.asarray(model.predict_proba(data), dtype=np.float64)
    return Scores(
        _name_classes(use_case, choose_classes(probabilities, read_class_weights(model))), probabilities
    )


def score_baseline(
    use_case: UseCase, baseline: Any, columns: Columns, weights: Sequence[float] = ()
) -> Scores:
    """A scikit-learn baseline's answers, in the same form, decided by the same class weights."""
    frame = build_input_frame(use_case, columns)
    if not use_case.label.classes:
        return Scores(np.asarray(baseline.predict(frame), dtype=np.float64), None)
    # scikit-learn sorts classes by name.
    order = [list(baseline.classes_).index(name) for name in use_case.label.classes]
    probabilities = np.asarray(baseline.predict_proba(frame), dtype=np.float64)[:, order]
    return Scores(_name_classes(use_case, choose_classes(probabilities, weights)), probabilities)


def score_holdout(
    use_case: UseCase, models: Sequence[Any], columns: Columns, cuts: Sequence[Cut], of: Any = score_model
) -> Scores:
    """Every held-out row's answer by the model of its cut, which was not fitted on it.

    In the order of the rows, without those that no cut holds out. `of` is `score_model` or `score_baseline`.
    """
    held_out = find_holdout_rows(cuts)
    place = np.cumsum(held_out) - 1
    predictions: np.ndarray = np.empty(
        int(held_out.sum()), dtype=object if use_case.label.classes else np.float64
    )
    classes = len(use_case.label.classes)
    probabilities = np.empty((len(predictions), classes), dtype=np.float64) if classes else None
    for model, cut in zip(models, cuts, strict=True):
        found = of(use_case, model, select_rows(columns, cut.test))
        predictions[place[cut.test]] = found.predictions
        if probabilities is not None:
            probabilities[place[cut.test]] = found.probabilities
    return Scores(predictions, probabilities)


def find_holdout_rows(cuts: Sequence[Cut]) -> npt.NDArray[np.bool_]:
    """Which rows some cut holds out, of shape (rows,)."""
    return np.asarray(np.any([cut.test for cut in cuts], axis=0), dtype=np.bool_)


def _name_classes(use_case: UseCase, chosen: npt.NDArray[np.int64]) -> np.ndarray:
    names: np.ndarray = np.array(use_case.label.classes, dtype=object)
    found: np.ndarray = names[chosen]
    return found
