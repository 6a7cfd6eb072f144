"""Fitting: CatBoost with a use case's parameters.

**Which model is registered.** Two kinds of model share the recipe (parameters, number of trees, calibration)
that the search chose:

1. the *hold-out models*, one for each cut of `training/data/split.py`, fitted on its training part only. The
   gate judges these; every hold-out metric of a run is theirs.
2. the *registered model*, fitted on all rows, hold-out included. Under drift the newest rows are worth the
   most, and a time-ordered hold-out consists of them.

The hold-out metrics are therefore not those of the registered file, which was fitted on the hold-out; they
are an estimate for it, as a rule a cautious one (fewer and older rows). The run says so in its tags, and
keeps the hold-out models as artifacts. A later comparison needs them: a later candidate's hold-out may hold
rows that this version was fitted on, and then its hold-out models, which were not, stand in for it (see
`training/judge/contest.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from evergreen.training.fit.parameters import Parameters
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
        """`threads` as CatBoost takes it: -1 means all."""
        return self.threads or -1


def build_model(
    use_case: UseCase, params: Parameters, machine: Machine, weights: Sequence[float] = ()
) -> Any:
    """An unfitted CatBoost model. `params`: iterations, and what the search space names.

    Classes keep their declared order, so the last column of a binary model's probabilities is the positive
    class. `weights`: the weight of a row of each class, in that order; empty where all weigh the same.
    """
    # CatBoost takes about a second to load, which steps that fit nothing must not spend.
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
    class_weights = {"class_weights": list(weights)} if weights else {}
    return CatBoostClassifier(**common, **class_weights, class_names=list(use_case.label.classes))


def fit_model(
    use_case: UseCase,
    columns: Columns,
    label: np.ndarray,
    params: Parameters,
    machine: Machine,
    calibration: Calibration | None = None,
) -> Any:
    """Fit a CatBoost model on all given rows with a fixed number of trees.

    It is calibrated, and freed of what differs between two fits of one recipe (see `training/fit/digest.py`).
    Raises TrainingError when CatBoost refuses.
    """
    weights = compute_class_weights(use_case, label)
    unfitted, pool = build_model(use_case, params, machine, weights), build_pool(use_case, columns, label)
    model = machine.fit_timer.fit(lambda: fit_catboost(unfitted, use_case, pool))
    if weights:
        set_class_weights(model, weights)
    save_feature_digests(use_case, model)
    if calibration is not None:
        apply_calibration(model, calibration)
    return strip_fit_metadata(model)


def fit_catboost(model: Any, use_case: UseCase, train: Any, **options: Any) -> Any:
    """`model.fit(train, **options)`. Raises TrainingError, naming the parameters, if CatBoost refuses."""
    # As in `build_model`.
    from catboost import CatBoostError

    try:
        return model.fit(train, **options)
    except CatBoostError as error:
        message = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        params = ", ".join(f"{name}={value}" for name, value in sorted(model.get_params().items()))
        raise TrainingError(
            f"CatBoost cannot fit {use_case.name}: {message} (with {params})",
            hint="mend the search space in the use case's tuning",
        ) from error


def compute_class_weights(use_case: UseCase, label: np.ndarray) -> tuple[float, ...]:
    """The weight of a row of each class, in the order of the classes; empty where all weigh the same.

    "balanced": rows / (classes * rows of the class), as scikit-learn has it; "sqrt_balanced": its square
    root.
    """
    rule = use_case.tuning.class_weights
    if rule == "none" or not use_case.label.classes:
        return ()
    if isinstance(rule, tuple):
        return tuple(float(weight) for weight in rule)
    counts = np.array([max(1, np.sum(label == name)) for name in use_case.label.classes], dtype=np.float64)
    weights = len(label) / (len(counts) * counts)
    return tuple(float(w) for w in (np.sqrt(weights) if rule == "sqrt_balanced" else weights))
