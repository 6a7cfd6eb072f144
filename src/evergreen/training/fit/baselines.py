"""The baselines that a candidate must beat: a linear model, and a dummy that uses no feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from evergreen.model.matrix import Columns, build_input_frame
from evergreen.training.fit.fit_timer import FitTimer
from evergreen.usecase import UseCase


def fit_linear(
    use_case: UseCase, columns: Columns, label: np.ndarray, fit_timer: FitTimer | None = None
) -> Any:
    """A scikit-learn pipeline: imputed, robustly scaled numbers and one-hot categories into a linear model.

    Logistic regression for classes, ridge regression for numbers. It is never registered.
    """
    # scikit-learn is loaded in a thread while the search fits (`training/library_loading.py`).
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, RobustScaler

    frame = build_input_frame(use_case, columns)
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
    pipeline = Pipeline([("prepare", prepare), ("linear", linear)])
    return (fit_timer or FitTimer()).fit(lambda: pipeline.fit(frame, label))


def fit_dummy(
    use_case: UseCase, columns: Columns, label: np.ndarray, fit_timer: FitTimer | None = None
) -> Any:
    """scikit-learn's dummy, which always predicts the most frequent class, with the classes' shares as
    probabilities, or the mean."""
    # As in `fit_linear`.
    from sklearn.dummy import DummyClassifier, DummyRegressor

    dummy = DummyRegressor() if use_case.problem == "regression" else DummyClassifier(strategy="prior")
    return (fit_timer or FitTimer()).fit(lambda: dummy.fit(np.zeros((len(label), 1)), label))
