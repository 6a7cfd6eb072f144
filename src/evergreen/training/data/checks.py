"""Checks of a training set's columns: whether a model can learn anything from them."""

from __future__ import annotations

import logging

import numpy as np

from evergreen.errors import NotEnoughData
from evergreen.model.matrix import Columns
from evergreen.model.signature import list_model_inputs
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


def check_inputs(use_case: UseCase, columns: Columns) -> None:
    """Warn of inputs without any value, from which a model learns nothing.

    Raises NotEnoughData where no input varies: CatBoost would fit a constant without an error.
    """
    inputs = list_model_inputs(use_case)
    empty = [f.name for f in inputs if not find_present_values(columns[f.name], f.numeric).any()]
    if empty:
        logger.warning("no row has a value of %s: the model learns nothing from it", ", ".join(empty))
    if not any(_varies(columns[f.name], f.numeric) for f in inputs):
        raise NotEnoughData(
            f"no feature of {use_case.name} tells anything: each has one value in all rows, or none",
            hint=f"see what was ingested: evergreen features {use_case.name}",
        )


def find_present_values(values: np.ndarray, numeric: bool) -> np.ndarray:
    """Which values of a feature column, of shape (n,), are not missing; bool."""
    if numeric:
        return np.asarray(~np.isnan(values), dtype=bool)
    return np.array([value is not None for value in values.tolist()], dtype=bool)


def _varies(values: np.ndarray, numeric: bool) -> bool:
    present = find_present_values(values, numeric)
    present_values = values[present]
    if not len(present_values):
        return False
    # That a value is missing in some rows only is information too.
    return bool(not present.all() or (present_values != present_values[0]).any())
