"""The rows of the prediction log for predictions just made: the same from a request and from a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from evergreen.model.predictions import Answer
from evergreen.store.predictions.prediction_row import InputValue, PredictionRow
from evergreen.usecase import CATEGORY_CHARACTERS, UseCase
from evergreen.usecase.names import TEXT_BYTES

if TYPE_CHECKING:
    # It loads CatBoost and pandas, which the process that ships the prediction log has no use for.
    from evergreen.model.matrix import Columns


def build_prediction_rows(
    channel: str,
    model_version: int,
    prediction_ids: Iterable[str],
    inputs: Iterable[dict[str, InputValue]],
    answers: Iterable[Answer],
    on_demand: Iterable[dict[str, InputValue]],
) -> list[PredictionRow]:
    """One row for each answer. `inputs` and `on_demand` are from the functions below; ids are UUIDv7 in text
    form.

    Raises ValueError when the four differ in length.
    """
    return [
        PredictionRow(
            prediction_id,
            model_version,
            channel,
            values,
            answer.prediction,
            answer.probability,
            answer.probabilities,
            computed,
        )
        for prediction_id, values, answer, computed in zip(
            prediction_ids, inputs, answers, on_demand, strict=True
        )
    ]


def list_logged_names(use_case: UseCase) -> tuple[str, ...]:
    """The names of the inputs that are logged: the entity's keys, then the stored features."""
    return (*use_case.entity.key_names, *(feature.name for feature in use_case.stored_features))


def list_request_inputs(
    names: Sequence[str], rows: Iterable[Mapping[str, InputValue]]
) -> list[dict[str, InputValue]]:
    """The named inputs of request rows; what a row leaves out is None."""
    return [{name: row.get(name) for name in names} for row in rows]


def list_column_inputs(
    use_case: UseCase, keys: Mapping[str, Sequence[InputValue]], columns: Columns
) -> list[dict[str, InputValue]]:
    """The same inputs from n keys by name, and from feature columns, each of shape (n,).

    Numbers of whole-number features become int, missing values None.
    """
    values: dict[str, Sequence[InputValue]] = {name: keys[name] for name in use_case.entity.key_names}
    for feature in use_case.stored_features:
        values[feature.name] = _list_values(columns[feature.name], feature.dtype)
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def list_on_demand_values(use_case: UseCase, columns: Columns, rows: int) -> list[dict[str, InputValue]]:
    """The values of `list_on_demand_columns` of each of `rows` rows; {} for each where none are declared."""
    values = list_on_demand_columns(use_case, columns)
    if not values:
        return [{} for _ in range(rows)]
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def list_on_demand_columns(use_case: UseCase, columns: Columns) -> dict[str, list[InputValue]]:
    """The on-demand features as they are logged, from columns (those of `Predictions.on_demand`, or all) of
    shape (n,).

    Missing values are None. A text becomes what its column in the log takes, because the domain of its
    function is not declared: it is cut, and a lone surrogate becomes a question mark.
    """
    values: dict[str, list[InputValue]] = {}
    for feature in use_case.on_demand_order:
        name, cells = feature.name, columns[feature.name].tolist()
        if feature.numeric:
            values[name] = [cell if cell == cell else None for cell in cells]  # NaN equals nothing
        else:
            values[name] = [_cut_text(cell, feature.dtype) for cell in cells]
    return values


def _cut_text(cell: object, dtype: str) -> str | None:
    if cell is None:
        return None
    text = str(cell)
    if dtype == "category":
        text = text[:CATEGORY_CHARACTERS]
    return text.encode(errors="replace")[:TEXT_BYTES].decode(errors="ignore")


def _list_values(column: np.ndarray, dtype: str) -> list[InputValue]:
    """A feature's values as Python's own, with None for NaN."""
    cells = column.tolist()
    if dtype == "int":
        return [None if cell is None or cell != cell else int(cell) for cell in cells]
    return [None if cell is None or cell != cell else cell for cell in cells]
