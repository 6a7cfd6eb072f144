"""Whether the columns that a model gets tell it anything at all."""

from __future__ import annotations

import logging

import numpy as np

from evergreen.errors import NotEnoughData
from evergreen.model.matrix import Columns
from evergreen.model.signature import list_model_inputs
from evergreen.usecase import UseCase

logger = logging.getLogger(__name__)


def check_inputs(use_case: UseCase, columns: Columns) -> None:
    """Warn of inputs without any value, which a model bears but learns nothing from.

    CatBoost would fit a constant without a word where no input varies: that raises NotEnoughData.
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
    """Which values of a feature column, of shape (n,), are there; bool."""
    if numeric:
        return np.asarray(~np.isnan(values), dtype=bool)
    return np.array([value is not None for value in values.tolist()], dtype=bool)


def _varies(values: np.ndarray, numeric: bool) -> bool:
    there = find_present_values(values, numeric)
    known = values[there]
    if not len(known):
        return False
    # A value that is missing in some rows only tells something too.
    return bool(not there.all() or (known != known[0]).any())
