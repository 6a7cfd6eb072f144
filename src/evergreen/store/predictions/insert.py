"""Writes rows of the prediction log by INSERT. It needs neither pandas nor pyarrow: shippers import it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isfinite
from typing import Any

import msgspec
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.connection.missing import ignore_missing_table
from evergreen.store.connection.values import StoredRow, StoredValue
from evergreen.store.predictions.append_rows import append_rows
from evergreen.store.predictions.channels import CHANNELS
from evergreen.store.predictions.hour_counts import LoggedColumns, RowCounter, add_rows_to_hours
from evergreen.store.predictions.prediction_id import parse_prediction_id
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.tables import declared
from evergreen.usecase import UseCase

# What the driver writes as it is.
_PLAIN_TYPES = frozenset((str, int, type(None), datetime))
_encode_json = msgspec.json.Encoder().encode


def insert_predictions(
    engine: sa.Engine,
    use_case: UseCase,
    rows: Sequence[PredictionRow],
    counter: RowCounter | None = None,
) -> int:
    """Log predictions, all of them or none; how many were new. Rows that are logged already are not changed.

    The new rows are counted in the same transaction: by `counter` into the bins of their version's reference
    profile, without one by their number alone.

    Inputs that a row leaves out are NULL, and so are NaN and infinity. Raises StoreError for an id that is
    none, and for an unknown input or channel; SQLAlchemy's DataError for a value that its column cannot hold.
    """
    table = declared.build_prediction_table(use_case)
    stored_rows = simplify_rows(build_logged_rows(use_case, table, rows))
    return insert_logged_rows(engine, use_case, table, stored_rows, counter)


def insert_logged_rows(
    engine: sa.Engine,
    use_case: UseCase,
    table: sa.Table,
    rows: Mapping[str, StoredRow],
    counter: RowCounter | None,
) -> int:
    """Do what `insert_predictions` does with rows that are arranged for their table."""

    def count(connection: sa.Connection, new: Sequence[StoredRow]) -> None:
        count_new_rows(connection, use_case, arrange_by_columns(new), counter)

    return append_rows(engine, table, rows, count)


def arrange_by_columns(rows: Sequence[StoredRow]) -> dict[str, tuple[StoredValue, ...]]:
    """The values of rows of the same columns, by column."""
    if not rows:
        return {}
    return dict(zip(rows[0], zip(*[row.values() for row in rows], strict=True), strict=True))


def count_new_rows(
    connection: sa.Connection, use_case: UseCase, columns: LoggedColumns, counter: RowCounter | None
) -> None:
    """Add new rows to the counts of their hours, in the transaction that writes them.

    A database that an earlier version of Evergreen made has no counts; the rows are logged nevertheless.
    """
    with ignore_missing_table():
        add_rows_to_hours(connection, use_case.name, columns, counter)


def build_logged_rows(
    use_case: UseCase, table: sa.Table, rows: Sequence[PredictionRow]
) -> dict[str, StoredRow]:
    """The rows to store by their ids, all with the same columns in the same order; of several rows of one id
    the first. Their inputs are as they were given: see `simplify_rows`.

    On-demand features that no row has are left out, so that rows of before fit into a table of before. Those
    that are not declared any more are too: a row is worth more than what can be computed from its inputs.
    Raises StoreError as `insert_predictions` does.
    """
    on_demand = {feature.name for feature in use_case.on_demand}
    present = {name for row in rows for name in row.on_demand} & on_demand
    names = [column.name for column in table.c if column.name not in on_demand or column.name in present]
    blank: StoredRow = dict.fromkeys(names)
    stored_rows: dict[str, StoredRow] = {}
    for row in rows:
        prediction_id, moment = parse_prediction_id(row.prediction_id)
        if prediction_id in stored_rows:
            continue
        if row.channel not in CHANNELS:
            raise StoreError(
                f"{table.name} takes no predictions of the channel {row.channel!r}",
                hint=f"the channels are {', '.join(sorted(CHANNELS))}",
            )
        computed = row.on_demand
        if not computed.keys() <= present:
            computed = {name: value for name, value in computed.items() if name in present}
        values = {**blank, **row.inputs, **computed}
        if len(values) > len(blank):
            raise StoreError(
                f"{table.name} has no column {', '.join(sorted(set(values) - set(blank)))}",
                hint="log the use case's keys, stored features and the prediction's own fields",
            )
        values["prediction_id"] = prediction_id
        values["predicted_at"] = moment.replace(tzinfo=None)
        values["model_version"] = row.model_version
        values["channel"] = row.channel
        values["prediction"] = row.prediction
        values["probability"] = row.probability
        shares = row.probabilities
        values["probabilities"] = None if shares is None else _encode_json(shares).decode()
        stored_rows[prediction_id] = values
    return stored_rows


def simplify_rows(rows: Mapping[str, StoredRow]) -> Mapping[str, StoredRow]:
    """The same rows, changed in place: with Python's own types, and without what a column cannot hold."""
    for values in rows.values():
        for name, value in values.items():
            if type(value) is float:
                if not isfinite(value):
                    values[name] = None
            elif type(value) not in _PLAIN_TYPES:
                values[name] = _to_plain_value(value)
    return rows


def _to_plain_value(value: Any) -> Any:
    """NumPy scalars as Python's own; NaN and infinity, which DOUBLE cannot hold, as NULL."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not isfinite(value) else value
