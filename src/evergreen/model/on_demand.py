"""From stored features to the model's inputs: one code path for a request, a batch and a training set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evergreen.errors import StoreError
from evergreen.usecase import OnDemandFeature, UseCase


def build_columns_from_frame(frame: pd.DataFrame, use_case: UseCase) -> dict[str, np.ndarray]:
    """The stored features of a frame, each of shape (rows,): float64 with NaN, or objects of str or None.

    Raises StoreError naming the first feature that the frame lacks.
    """
    found: dict[str, np.ndarray] = {}
    for feature in use_case.stored_features:
        if feature.name not in frame.columns:
            raise StoreError(
                f"the rows have no feature {feature.name!r} of {use_case.name!r}",
                hint=f"they have {', '.join(map(str, frame.columns))}",
            )
        column = frame[feature.name]
        if feature.numeric:
            found[feature.name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            found[feature.name] = _replace_missing(column.to_numpy(dtype=object), column.isna().to_numpy())
    return found


def build_columns_from_rows(use_case: UseCase, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The same columns from request rows; what a row leaves out is missing."""
    found: dict[str, np.ndarray] = {}
    for feature in use_case.stored_features:
        name = feature.name
        values = [row.get(name) for row in rows]
        if feature.numeric:
            found[name] = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        else:
            found[name] = np.array(values, dtype=object)
    return found


def add_on_demand_columns(use_case: UseCase, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Stored columns in, stored and on-demand columns out, all of one length.

    Raises StoreError naming the on-demand feature whose function fails or returns another shape.
    """
    found = dict(columns)
    for feature in use_case.on_demand_order:
        found[feature.name] = _compute_feature(use_case, feature, found)
    return found


def _compute_feature(
    use_case: UseCase, feature: OnDemandFeature, columns: Mapping[str, np.ndarray]
) -> np.ndarray:
    inputs = {name: columns[name] for name in feature.inputs}
    rows = len(next(iter(columns.values())))
    try:
        # Missing values and zero divisors are the function's everyday input, not worth a warning.
        with np.errstate(all="ignore"):
            values = np.asarray(feature.function(**inputs))
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
        return np.where(np.isinf(values), np.nan, values)
    # None, NaN and pd.NA all mean "missing" to whoever writes such a function.
    return _replace_missing(values.astype(object), np.asarray(pd.isna(values)))


def _replace_missing(values: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The same objects with None where they are missing."""
    if missing.any():
        values = values.copy()
        values[missing] = None
    return values
