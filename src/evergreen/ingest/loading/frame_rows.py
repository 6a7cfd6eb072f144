"""Rows in memory, such as a frame's, on their way into a table: with its types, and in its order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.ingest.loading.sorter import RowSorter
from evergreen.store.tables.declared import INGESTED_AT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def build_row_sorter(
    rows: pa.Table | pd.DataFrame, table: sa.Table, columns: Sequence[str], folder: Path
) -> RowSorter:
    """A spool under `folder` of those columns of the rows, cast to the table's types.

    Raises StoreError naming the columns that the rows lack.
    """
    import pyarrow as pa

    schema = pa.schema([(name, _arrow_type(table.c[name].type)) for name in columns])
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
    made = RowSorter(folder, [c.name for c in table.primary_key.columns if c.name != INGESTED_AT])
    made.add(typed)
    return made


def _arrow_type(column_type: sa.types.TypeEngine[Any]) -> pa.DataType:
    import pyarrow as pa

    if isinstance(column_type, sa.BigInteger):
        return pa.int64()
    if isinstance(column_type, sa.Float):
        return pa.float64()
    return pa.timestamp("us", "UTC") if isinstance(column_type, sa.DateTime) else pa.string()


def _to_arrow_array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return pa.array(values.dt.tz_convert(None).astype("datetime64[us]").to_numpy()).cast(kind)
    return pa.array(values, kind, from_pandas=True)
