"""Feature columns as CatBoost and scikit-learn take them, for training, scoring and serving alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from catboost import FeaturesData, Pool

from evergreen.model.signature import list_model_inputs
from evergreen.usecase import UseCase

# The category that stands for a missing one: CatBoost takes missing values for numbers only.
MISSING = "missing"

Columns: TypeAlias = Mapping[str, np.ndarray]


def build_pool(use_case: UseCase, columns: Columns, label: np.ndarray | None = None) -> Pool:
    """A CatBoost Pool of n rows. `columns`, each of shape (n,), hold every model input, and may hold more.

    The inputs stand in the order of `list_model_inputs`. Numbers become float32 with NaN for missing ones,
    missing categories the text "missing". `label`, of shape (n,): class names, or float64 for regression.
    """
    inputs = list_model_inputs(use_case)
    numbers = [f.name for f in inputs if f.numeric]
    categories = [f.name for f in inputs if not f.numeric]
    arguments: dict[str, np.ndarray | list[str]] = {}
    if numbers:
        block = np.empty((len(columns[numbers[0]]), len(numbers)), dtype=np.float32)
        for index, name in enumerate(numbers):
            block[:, index] = columns[name]
        arguments |= {"num_feature_data": block, "num_feature_names": numbers}
    if categories:
        cells = np.empty((len(columns[categories[0]]), len(categories)), dtype=object)
        for index, name in enumerate(categories):
            cells[:, index] = _encode_categories(columns[name])
        arguments |= {"cat_feature_data": cells, "cat_feature_names": categories}
    return Pool(FeaturesData(**arguments), label=None if label is None else list(label))


def build_input_frame(use_case: UseCase, columns: Columns) -> pd.DataFrame:
    """The model's inputs as a frame in the pool's order: float64 numbers, str categories with "missing"."""
    return pd.DataFrame(
        {
            f.name: np.asarray(columns[f.name], dtype=np.float64)
            if f.numeric
            else pd.Series(format_categories(columns[f.name]), dtype=object)
            for f in list_model_inputs(use_case)
        }
    )


def select_rows(columns: Columns, mask: npt.NDArray[np.bool_]) -> dict[str, np.ndarray]:
    """Those rows of every column for which `mask`, of shape (n,), is true."""
    return {name: values[mask] for name, values in columns.items()}


def format_categories(values: np.ndarray) -> list[str]:
    """Categories as text, with "missing" for None."""
    return [MISSING if value is None else str(value) for value in values.tolist()]


def _encode_categories(values: np.ndarray) -> list[bytes]:
    """`format_categories` as UTF-8, which CatBoost takes; each different category is encoded once."""
    encodings: dict[str | None, bytes] = {}
    cells = []
    for value in values.tolist():
        data = encodings.get(value)
        if data is None:
            data = encodings[value] = (MISSING if value is None else str(value)).encode()
        cells.append(data)
    return cells
