"""Golden rows: a few rows of the training set with the model's answers, by which it is known again.

A training keeps them when it registers its model. A service lets the version answer them before it goes into
service: another CatBoost, another computation of an on-demand feature or another model shows in the answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.matrix import Columns
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import predict_inputs, predict_rows
from evergreen.model.predictions import Answer
from evergreen.store.predictions.prediction_row import InputValue
from evergreen.store.records.model_record import GoldenRow, GoldenRows
from evergreen.usecase import UseCase

GOLDEN_ROW_COUNT = 20
# Sums of other processors may differ in the last digits; another split of a tree differs by far more.
TOLERANCE = 1e-9


def build_golden_rows(use_case: UseCase, model: Any, columns: Columns) -> GoldenRows:
    """Golden rows of a fitted CatBoost model: evenly spaced rows of its training set.

    `columns`, each of shape (n,), are those that it was fitted on and the stored features that it does not
    use; n is at least 1.
    """
    length = len(next(iter(columns.values())))
    numbers = np.unique(np.linspace(0, length - 1, min(length, GOLDEN_ROW_COUNT)).astype(int))
    chosen = {name: values[numbers] for name, values in columns.items()}
    answers = predict_inputs(use_case, model, chosen).list_answers()
    stored = {feature.name: feature.numeric for feature in use_case.stored_features}
    rows = tuple(
        GoldenRow(
            {name: _get_value(chosen[name], index, numeric) for name, numeric in stored.items()},
            answer.prediction,
            answer.probabilities,
        )
        for index, answer in enumerate(answers)
    )
    return GoldenRows(rows, TOLERANCE)


def find_golden_difference(use_case: UseCase, loaded: LoadedModel, golden_rows: GoldenRows) -> str:
    """In which way a version answers its golden rows otherwise; "" when it gives the same answers.

    The text names the number of such rows and the first of them, without its values. Raises StoreError when
    an on-demand feature fails.
    """
    inputs = [row.inputs for row in golden_rows.rows]
    if not inputs:
        return ""
    answers = predict_rows(use_case, loaded, build_columns_from_rows(use_case, inputs)).list_answers()
    differences = [
        (number, difference)
        for number, (row, answer) in enumerate(zip(golden_rows.rows, answers, strict=True), start=1)
        if (difference := _describe_difference(row, answer, golden_rows.tolerance))
    ]
    if not differences:
        return ""
    number, difference = differences[0]
    return f"{len(differences)} of {len(inputs)} golden rows, the first is row {number}: {difference}"


def _describe_difference(row: GoldenRow, answer: Answer, tolerance: float) -> str:
    if row.probabilities is None or answer.probabilities is None:
        expected, number = float(row.prediction), float(answer.prediction)
        is_same = abs(number - expected) <= tolerance * max(1.0, abs(expected))
        return "" if is_same else f"it answers {number:.6g} instead of {expected:.6g}"
    if row.prediction != answer.prediction:
        return f"it answers {answer.prediction!r} instead of {row.prediction!r}"
    largest = max(
        abs(answer.probabilities.get(name, 0.0) - share) for name, share in row.probabilities.items()
    )
    # Not "largest > tolerance", which is false for NaN.
    return "" if largest <= tolerance else f"its probabilities differ by up to {largest:.3g}"


def _get_value(column: np.ndarray, index: int, numeric: bool) -> InputValue:
    if numeric:
        number = float(column[index])
        return None if np.isnan(number) else number
    value = column[index]
    return None if value is None else str(value)
