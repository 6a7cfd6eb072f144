"""The model's inputs from stored features, by one code for a request, a batch and a training set.

An on-demand feature is computed from stored features by a function of the declaration when it is needed.
Columns map a feature's name to an array of shape (rows,): float64 with NaN, or objects of str or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from evergreen.errors import StoreError
from evergreen.store.predictions.prediction_row import InputValue
from evergreen.usecase import OnDemandFeature, UseCase


def build_columns_from_frame(frame: pd.DataFrame, use_case: UseCase) -> dict[str, np.ndarray]:
    """The columns of the stored features in a frame.

    Raises StoreError naming the first feature that the frame lacks.
    """
    columns: dict[str, np.ndarray] = {}
    for feature in use_case.stored_features:
        if feature.name not in frame.columns:
            raise StoreError(
                f"the rows have no feature {feature.name!r} of {use_case.name!r}",
                hint=f"they have {', '.join(map(str, frame.columns))}",
            )
        column = frame[feature.name]
        if feature.numeric:
            columns[feature.name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            columns[feature.name] = _replace_missing(column.to_numpy(dtype=object), column.isna().to_numpy())
    return columns


def build_columns_from_rows(
    use_case: UseCase, rows: Sequence[Mapping[str, InputValue]]
) -> dict[str, np.ndarray]:
    """The same columns from request rows; a feature that a row leaves out is missing."""
    columns: dict[str, np.ndarray] = {}
    for feature in use_case.stored_features:
        name = feature.name
        values = [row.get(name) for row in rows]
        if feature.numeric:
            columns[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        else:
            columns[name] = np.array(values, dtype=object)
    return columns


def add_on_demand_columns(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The stored columns that were given and those of the on-demand features, all of one length.

    Raises StoreError naming the on-demand feature whose function fails or returns another shape.
    """
    rows = len(next(iter(columns.values()))) if columns else 0
    return {**columns, **compute_on_demand_values(use_case, columns, rows)}


def compute_on_demand_values(
    use_case: UseCase, columns: Mapping[str, np.ndarray], rows: int
) -> dict[str, np.ndarray]:
    """The on-demand features of a number of rows, each of shape (rows,), from the columns that they need.

    Raises StoreError naming the on-demand feature whose function fails or returns another shape.
    """
    available = dict(columns)
    values: dict[str, np.ndarray] = {}
    # Missing values and zero divisors are ordinary inputs, of which NumPy need not warn.
    with np.errstate(all="ignore"):
        for feature in use_case.on_demand_order:
            values[feature.name] = available[feature.name] = _compute_feature(
                use_case, feature, available, rows
            )
    return values


def _compute_feature(
    use_case: UseCase, feature: OnDemandFeature, columns: Mapping[str, np.ndarray], rows: int
) -> np.ndarray:
    try:
        values = np.asarray(feature.function(**{name: columns[name] for name in feature.inputs}))
        if feature.numeric:
            values = values.astype(np.float64, copy=False)
    except (Exception, SystemExit) as error:
        raise StoreError(
            f"on-demand feature {feature.name!r} of {use_case.name!r} failed:"
            f" {type(error).__name__}: {error}",
            hint="its function takes and returns NumPy arrays and must bear missing values",
        ) from error
    if values.shape != (rows,):
        raise StoreError(
            f"on-demand feature {feature.name!r} of {use_case.name!r} returned shape {values.shape}"
            f" for {rows} rows",
            hint="its function must return one value per row",
        )
    if feature.numeric:
        infinite = np.isinf(values)
        return np.where(infinite, np.nan, values) if infinite.any() else values
    # A function of a declaration may return None, NaN or pd.NA for a missing category.
    return _replace_missing(values.astype(object), np.asarray(pd.isna(values)))


def _replace_missing(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The same objects with None where they are missing."""
    if missing.any():
        values = values.copy()
        values[missing] = None
    return values
