"""Rows of MariaDB as pandas frames, with the dtypes that the other packages expect.

Numeric features are float64 with NaN for missing; categories and texts are object arrays of str or None; keys
are int64 or object arrays of str; moments are datetime64[us, UTC].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from evergreen.store.tables.declared import INGESTED_AT
from evergreen.usecase import EVENT_TIME, UseCase

_MOMENTS = {EVENT_TIME, INGESTED_AT, "predicted_at", "actual_at"}


def list_column_kinds(use_case: UseCase) -> dict[str, str]:
    """What each stored column holds: key_int, key_text, number, string or moment."""
    kinds = {key.name: f"key_{key.dtype}" for key in use_case.entity.keys}
    kinds |= {f.name: "number" if f.numeric else "string" for f in use_case.stored_features}
    kinds |= {f.name: "number" if f.numeric else "string" for f in use_case.on_demand}
    kinds[use_case.label.name] = "string" if use_case.label.classes else "number"
    kinds["prediction"] = kinds["actual"] = kinds[use_case.label.name]
    return kinds | dict.fromkeys(_MOMENTS, "moment") | {"model_version": "key_int", "probability": "number"}


def read_frame(connection: sa.Connection, statement: sa.Select[Any], use_case: UseCase) -> pd.DataFrame:
    """Run a SELECT of stored columns; its rows as a frame with the shared dtypes."""
    result = connection.execute(statement)
    names = list(result.keys())
    # Tuples straight from the driver: pandas' own reader inspects every value.
    rows: Sequence[tuple[object, ...]] = result.cursor.fetchall() if result.cursor else []
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    what = list_column_kinds(use_case)
    return pd.DataFrame(
        {
            name: to_column(values, what.get(name, "string"))
            for name, values in zip(names, columns, strict=True)
        },
        columns=pd.Index(names),
    )


def to_frame(table: pa.Table, keys: Sequence[str]) -> pd.DataFrame:
    """An Arrow table as a frame with the shared dtypes; whole numbers stay whole in the `keys` only."""
    return pd.DataFrame({name: _to_shared_dtype(table[name], name in keys) for name in table.column_names})


def _to_shared_dtype(column: pa.ChunkedArray, is_key: bool) -> pd.Series | np.ndarray:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return pd.Series(column.to_pandas(), dtype="datetime64[us, UTC]")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        # Explicit, because pandas would choose its own string type, whose missing value is NaN.
        return pd.Series(column.to_numpy(zero_copy_only=False), dtype=object)
    if is_key:
        return np.asarray(column.to_numpy(), dtype=np.int64)
    # Missing values become NaN. Arrow's own arrays are read-only; a frame's owner may write.
    return np.array(column.to_numpy(), dtype=np.float64)


def to_column(values: Sequence[Any], kind: str) -> pd.Series | np.ndarray:
    """Plain values as one column of that kind."""
    match kind:
        case "number":
            return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        case "key_int":
            if None in values:  # only the prediction log: a request may leave its key out
                return pd.Series(values, dtype="Int64")
            return np.array(values, dtype=np.int64)
        case "moment":
            return pd.Series(
                pd.to_datetime(pd.Series(values, dtype="datetime64[us]")).dt.tz_localize("UTC"),
                dtype="datetime64[us, UTC]",
            )
        case _:
            # Explicit, because pandas would choose its own string type, whose missing value is NaN.
            return pd.Series(to_object_array(values), dtype=object)


def to_object_array(values: Sequence[object] | np.ndarray) -> np.ndarray:
    """An object array of one dimension."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
