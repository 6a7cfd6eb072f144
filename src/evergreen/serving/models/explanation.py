"""Explains one row's prediction by the model in service, as the body of an answer."""

from __future__ import annotations

from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import explain_prediction
from evergreen.serving.http.bodies import ExplanationBody, RequestRow
from evergreen.serving.models.slot import ServedModel
from evergreen.usecase import UseCase


def build_explanation(use_case: UseCase, served_model: ServedModel, row: RequestRow) -> ExplanationBody:
    """Each feature's contribution to the prediction of one row. Raises StoreError of an on-demand feature."""
    columns = build_columns_from_rows(use_case, [row])
    explanation = explain_prediction(use_case, served_model.model, columns)
    return {
        "model_version": served_model.version,
        "prediction": explanation.prediction,
        "base_value": explanation.base_value,
        "contributions": explanation.contributions,
    }
