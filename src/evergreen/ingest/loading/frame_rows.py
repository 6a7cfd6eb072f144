"""Rows in memory, such as those of a pandas frame, made ready for a load: cast to the table's types and
sorted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.ingest.loading.sorter import RowSorter
from evergreen.store.tables.declared import INGESTED_AT


def build_row_sorter(
    rows: pa.Table | pd.DataFrame, table: sa.Table, columns: Sequence[str], folder: Path
) -> RowSorter:
    """A sorter under `folder` that holds those columns of the rows, cast to the table's types.

    Raises StoreError naming the columns that the rows lack.
    """
    schema = pa.schema([(name, _get_arrow_type(table.c[name].type)) for name in columns])
    present = rows.column_names if isinstance(rows, pa.Table) else rows.columns
    missing = [name for name in columns if name not in present]
    if missing:
        raise StoreError(
            f"the rows for {table.name} have no column {', '.join(missing)}",
            hint="validate them first: it renames and completes the source's columns",
        )
    if isinstance(rows, pa.Table):
        typed = rows.select(list(columns)).cast(schema).combine_chunks()
    else:
        typed = pa.table([_to_arrow_array(rows[f.name], f.type) for f in schema], schema=schema)
    sorter = RowSorter(folder, [c.name for c in table.primary_key.columns if c.name != INGESTED_AT])
    sorter.add(typed)
    return sorter


def _get_arrow_type(column_type: sa.types.TypeEngine[Any]) -> pa.DataType:
    if isinstance(column_type, sa.BigInteger):
        return pa.int64()
    if isinstance(column_type, sa.Float):
        return pa.float64()
    return pa.timestamp("us", "UTC") if isinstance(column_type, sa.DateTime) else pa.string()


def _to_arrow_array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values.dt.tz_convert(None).astype("datetime64[us]").to_numpy()).cast(kind)
    return pa.array(values, kind, from_pandas=True)
