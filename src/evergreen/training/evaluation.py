"""How good are predictions? The same metrics for candidate, champion and baseline."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evergreen.errors import TrainingError
from evergreen.training.matrix import Columns, frame_of, pool
from evergreen.usecase import Problem, UseCase

METRICS: dict[Problem, tuple[str, ...]] = {
    "binary": ("accuracy", "balanced_accuracy", "f1", "precision", "recall", "roc_auc", "log_loss"),
    "multiclass": ("accuracy", "balanced_accuracy", "f1_macro", "roc_auc", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}
LESS_IS_BETTER = frozenset({"log_loss", "rmse", "mae"})


@dataclass(frozen=True)
class Scores:
    """Predictions of n rows: class names (object) or float64; for classes also (n, classes) float64."""

    predictions: np.ndarray
    probabilities: npt.NDArray[np.float64] | None


def check_metric(use_case: UseCase) -> None:
    """Raise TrainingError, before hours of work, when the gate's metric does not exist for this problem."""
    known = METRICS[use_case.problem]
    if use_case.gate.metric not in known:
        near = difflib.get_close_matches(use_case.gate.metric, known, n=1)
        raise TrainingError(
            f"the gate of {use_case.name} asks for {use_case.gate.metric!r}, "
            f"which a {use_case.problem} problem does not have",
            hint=f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(known)}",
        )


def scores(use_case: UseCase, model: Any, columns: Columns) -> Scores:
    """A CatBoost model's predictions; the predicted class is the most probable one."""
    data = pool(use_case, columns)
    if not use_case.label.classes:
        return Scores(np.asarray(model.predict(data), dtype=np.float64), None)
    probabilities = np.asarray(model.predict_proba(data), dtype=np.float64)
    return Scores(_most_probable(use_case, probabilities), probabilities)


def baseline_scores(use_case: UseCase, baseline: Any, columns: Columns) -> Scores:
    """The linear baseline's predictions, in the same form."""
    frame = frame_of(use_case, columns)
    if not use_case.label.classes:
        return Scores(np.asarray(baseline.predict(frame), dtype=np.float64), None)
    # scikit-learn sorts classes by name.
    order = [list(baseline.classes_).index(name) for name in use_case.label.classes]
    probabilities = np.asarray(baseline.predict_proba(frame), dtype=np.float64)[:, order]
    return Scores(_most_probable(use_case, probabilities), probabilities)


def metrics(use_case: UseCase, label: np.ndarray, given: Scores) -> dict[str, float]:
    """Every metric of `METRICS` for the problem. One that is not defined on these rows is left out.

    Binary metrics are those of the last declared class. Multiclass: `f1_macro` and `balanced_accuracy`
    average over classes, `roc_auc` over one-against-rest curves (macro). `log_loss` is in nats.
    """
    from sklearn import metrics as sk

    if given.probabilities is None:
        found = {
            "rmse": math.sqrt(sk.mean_squared_error(label, given.predictions)),
            "mae": sk.mean_absolute_error(label, given.predictions),
        }
        if len(label) > 1:
            found["r2"] = sk.r2_score(label, given.predictions)
        return _floats(found)
    classes = list(use_case.label.classes)
    truth, said = label.astype(str), given.predictions.astype(str)
    number = np.array([classes.index(name) for name in truth])
    found = {
        "accuracy": sk.accuracy_score(truth, said),
        "balanced_accuracy": np.mean([np.mean(said[truth == name] == name) for name in sorted(set(truth))]),
        "log_loss": sk.log_loss(number, given.probabilities, labels=range(len(classes))),
    }
    every_class = set(truth) == set(classes)
    if use_case.problem == "binary":
        options = {"pos_label": classes[-1], "zero_division": 0.0}
        found |= {
            "f1": sk.f1_score(truth, said, **options),
            "precision": sk.precision_score(truth, said, **options),
            "recall": sk.recall_score(truth, said, **options),
        }
        if every_class:
            found["roc_auc"] = sk.roc_auc_score(number, given.probabilities[:, 1])
    else:
        found["f1_macro"] = sk.f1_score(truth, said, labels=classes, average="macro", zero_division=0.0)
        if every_class:
            found["roc_auc"] = sk.roc_auc_score(
                number, given.probabilities, multi_class="ovr", average="macro", labels=range(len(classes))
            )
    return _floats(found)


def _most_probable(use_case: UseCase, probabilities: npt.NDArray[np.float64]) -> np.ndarray:
    names: np.ndarray = np.array(use_case.label.classes, dtype=object)
    chosen: np.ndarray = names[probabilities.argmax(axis=1)]
    return chosen


def _floats(found: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items() if math.isfinite(float(value))}
