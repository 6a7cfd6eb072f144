"""Fitting: CatBoost with a use case's parameters, and the linear baseline beside it.

**Which model is registered.** Two models share the recipe (parameters and number of trees) that tuning chose:

1. the *hold-out model*, fitted on the training part only. It is what the gate judges; every hold-out metric
   of a run is its own.
2. the *registered model*, fitted on all rows, hold-out included. Under drift the newest rows are worth the
   most, and a time-ordered hold-out is exactly those.

Its hold-out metrics are therefore not measured on the registered file itself, which has seen those rows;
they are an estimate for it, as a rule a cautious one (fewer and older rows). The run says so in its tags,
and keeps the hold-out model as an artifact. That artifact also makes the next comparison fair: a later
candidate's hold-out may hold rows that this version was fitted on, and then its hold-out model, which has
not seen them, stands in for it (see `training/contest.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evergreen.training.matrix import Columns, frame_of, pool
from evergreen.usecase import UseCase

# Categories of up to this many values are one-hot encoded, which fits three times as fast as target
# statistics for each (measured on 20,000 rows with five categories).
ONE_HOT_MAX_SIZE = 16

LOSS = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}


def new_model(use_case: UseCase, params: Mapping[str, Any], threads: int) -> Any:
    """An unfitted CatBoost model. `params`: iterations, depth, l2_leaf_reg, learning_rate; `threads` 0 = all.

    Classes keep their declared order, so the last column of a binary model's probabilities is the positive
    one.
    """
    from catboost import CatBoostClassifier, CatBoostRegressor

    common = {
        **params,
        "loss_function": LOSS[use_case.problem],
        "random_seed": use_case.tuning.seed,
        "thread_count": threads or -1,
        "one_hot_max_size": ONE_HOT_MAX_SIZE,
        "allow_writing_files": False,
        "verbose": False,
    }
    if use_case.problem == "regression":
        return CatBoostRegressor(**common)
    return CatBoostClassifier(**common, class_names=list(use_case.label.classes))


def fit(
    use_case: UseCase, columns: Columns, label: np.ndarray, params: Mapping[str, Any], threads: int
) -> Any:
    """A CatBoost model fitted on all given rows with a fixed number of trees."""
    return new_model(use_case, params, threads).fit(pool(use_case, columns, label))


def fit_baseline(use_case: UseCase, columns: Columns, label: np.ndarray) -> Any:
    """The linear baseline: imputed, robustly scaled numbers and one-hot categories into a linear model.

    Logistic regression for classes, ridge regression for numbers (scikit-learn). It is never registered.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, RobustScaler

    frame = frame_of(use_case, columns)
    numbers = [name for name in frame.columns if frame[name].dtype == np.float64]
    categories = [name for name in frame.columns if name not in numbers]
    prepare = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
                    RobustScaler(quantile_range=(5.0, 95.0)),
                ),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10, max_categories=50),
                categories,
            ),
        ]
    )
    linear = Ridge() if use_case.problem == "regression" else LogisticRegression(max_iter=1000)
    return Pipeline([("prepare", prepare), ("linear", linear)]).fit(frame, label)
