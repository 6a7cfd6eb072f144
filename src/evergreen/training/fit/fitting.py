"""Fitting: CatBoost with a use case's parameters.

**Which model is registered.** Two kinds of model share the recipe (parameters, number of trees, calibration)
that tuning chose:

1. the *hold-out models*, one for each cut of `training/data/split.py`, fitted on its training part only. They
   are what the gate judges; every hold-out metric of a run is their own.
2. the *registered model*, fitted on all rows, hold-out included. Under drift the newest rows are worth the
   most, and a time-ordered hold-out is exactly those.

The hold-out metrics are therefore not measured on the registered file itself, which has seen those rows;
they are an estimate for it, as a rule a cautious one (fewer and older rows). The run says so in its tags,
and keeps the hold-out models as artifacts. They also make the next comparison fair: a later candidate's
hold-out may hold rows that this version was fitted on, and then its hold-out models, which have not seen
them, stand in for it (see `training/judge/contest.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evergreen.errors import TrainingError
from evergreen.model.calibration import Calibration, apply_calibration
from evergreen.model.decision import set_class_weights
from evergreen.model.matrix import Columns, build_pool
from evergreen.model.signature import save_feature_digests
from evergreen.training.fit.device import TaskType
from evergreen.training.fit.digest import strip_fit_metadata
from evergreen.training.fit.fit_timer import FitTimer
from evergreen.usecase import UseCase

# Categories of up to this many values are one-hot encoded, which fits three times as fast as target
# statistics for each (measured on 20,000 rows with five categories).
ONE_HOT_MAX_SIZE = 16

LOSS = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}


@dataclass(frozen=True)
class Machine:
    """What to fit on: processor threads (0: all) and CatBoost's `task_type`. `fit_timer` times the fits."""

    threads: int = 0
    task_type: TaskType = "CPU"
    fit_timer: FitTimer = field(default_factory=FitTimer, compare=False)

    @property
    def thread_count(self) -> int:
        """As CatBoost has it: -1 means all."""
        return self.threads or -1


def build_model(
    use_case: UseCase, params: Mapping[str, Any], machine: Machine, weights: Sequence[float] = ()
) -> Any:
    """An unfitted CatBoost model. `params`: iterations, and what the search space names.

    Classes keep their declared order, so the last column of a binary model's probabilities is the positive
    one; `weights` count their rows.
    """
    from catboost import CatBoostClassifier, CatBoostRegressor

    common = {
        "one_hot_max_size": ONE_HOT_MAX_SIZE,
        **params,
        "loss_function": LOSS[use_case.problem],
        "random_seed": use_case.tuning.seed,
        "thread_count": machine.thread_count,
        "task_type": machine.task_type,
        "allow_writing_files": False,
        "verbose": False,
    }
    if use_case.problem == "regression":
        return CatBoostRegressor(**common)
    if weights:
        common["class_weights"] = list(weights)
    return CatBoostClassifier(**common, class_names=list(use_case.label.classes))


def fit_model(
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    params: Mapping[str, Any],
    machine: Machine,
    calibration: Calibration | None = None,
) -> Any:
    """A CatBoost model fitted on all given rows with a fixed number of trees, calibrated and settled (see
    `training/fit/digest.py`). Raises TrainingError when CatBoost refuses."""
    weights = compute_class_weights(use_case, label)
    blank, rows = build_model(use_case, params, machine, weights), build_pool(use_case, columns, label)
    model = machine.fit_timer.fit(lambda: fit_catboost(blank, use_case, rows))
    if weights:
        set_class_weights(model, weights)
    save_feature_digests(use_case, model)
    if calibration is not None:
        apply_calibration(model, calibration)
    return strip_fit_metadata(model)


def fit_catboost(model: Any, use_case: UseCase, train: Any, **options: Any) -> Any:
    """`model.fit(train, **options)` with CatBoost's refusals in this package's words."""
    from catboost import CatBoostError

    try:
        return model.fit(train, **options)
    except CatBoostError as error:
        told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        params = ", ".join(f"{name}={value}" for name, value in sorted(model.get_params().items()))
        raise TrainingError(
            f"CatBoost cannot fit {use_case.name}: {told} (with {params})",
            hint="mend the search space in the use case's tuning",
        ) from error


def compute_class_weights(use_case: UseCase, label: np.ndarray) -> tuple[float, ...]:
    """What a row of each class counts, in the order of the classes; none where all count the same.

    "balanced": rows / (classes * rows of the class), as scikit-learn has it; "sqrt_balanced": its square
    root.
    """
    chosen = use_case.tuning.class_weights
    if chosen == "none" or not use_case.label.classes:
        return ()
    if isinstance(chosen, tuple):
        return tuple(float(weight) for weight in chosen)
    counts = np.array([max(1, np.sum(label == name)) for name in use_case.label.classes], dtype=np.float64)
    weights = len(label) / (len(counts) * counts)
    return tuple(float(w) for w in (np.sqrt(weights) if chosen == "sqrt_balanced" else weights))
