"""Rows of the prediction log that are given by columns: arranged for their table without an object a row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec
import sqlalchemy as sa

from evergreen.errors import StoreError
from evergreen.store.predictions.channels import CHANNELS
from evergreen.store.predictions.hour_counts import LoggedColumns
from evergreen.store.predictions.prediction_id import is_usual_form, parse_prediction_time
from evergreen.usecase import UseCase

_encode_json = msgspec.json.Encoder().encode
# What carries the moment of a prediction's id: its first 48 bits, and the hyphen between them.
_MOMENT_CHARACTERS = 13


@runtime_checkable
class HasColumns(Protocol):
    """Rows of predictions that can be had by columns too."""

    def list_columns(self) -> dict[str, Sequence[Any]] | None:
        """The values of all rows by the name of their column, with `probabilities` as dicts and without
        `predicted_at`; None where the rows differ in their columns."""
        ...


def arrange_columns(use_case: UseCase, table: sa.Table, rows: object) -> LoggedColumns | None:
    """What `build_logged_rows` makes of rows, by columns. None where rows have no columns, and where one of
    them needs more than to be written as it is: an id in another form or twice, or a column or a channel that
    the table does not have."""
    columns = rows.list_columns() if isinstance(rows, HasColumns) else None
    if columns is None or not set(columns["channel"]) <= CHANNELS:
        return None
    moments = _list_moments(columns["prediction_id"])
    if moments is None:
        return None
    on_demand = {feature.name for feature in use_case.on_demand}
    names = [column.name for column in table.c if column.name not in on_demand or column.name in columns]
    if not columns.keys() <= set(names):
        return None
    blank = [None] * len(moments)
    shares = columns.get("probabilities")
    arranged = {
        **columns,
        "predicted_at": moments,
        "probabilities": blank if shares is None else [_encode_json(row).decode() for row in shares],
    }
    return {name: arranged.get(name, blank) for name in names}


def _list_moments(ids: Sequence[str]) -> list[datetime] | None:
    """The moments (naive UTC) of ids; None where one of them is not in its usual form, or there twice."""
    if len(set(ids)) < len(ids) or not all(map(is_usual_form, ids)):
        return None
    # Many predictions share a millisecond.
    examples = {prediction_id[:_MOMENT_CHARACTERS]: prediction_id for prediction_id in ids}
    try:
        values = {
            beginning: parse_prediction_time(prediction_id).replace(tzinfo=None)
            for beginning, prediction_id in examples.items()
        }
    except StoreError:
        return None
    return [values[prediction_id[:_MOMENT_CHARACTERS]] for prediction_id in ids]
