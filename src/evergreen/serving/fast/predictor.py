"""From request rows to the bodies of their answers and the record of the log: without HTTP, model slot or
spool.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from evergreen.model.loaded_model import LoadedModel
from evergreen.model.log_rows import list_logged_names, list_on_demand_columns
from evergreen.model.predict import predict_pool
from evergreen.model.predictions import Predictions
from evergreen.model.request_inputs import RequestInputBuilder, RequestInputs, RequestValues
from evergreen.serving.http.bodies import FieldReason, PredictionBody, build_prediction_body
from evergreen.serving.predictions.record import PredictionRecord, encode_record
from evergreen.usecase import UseCase
from evergreen.validation.domain_words import list_domain_warnings


@dataclass(frozen=True, eq=False)
class PredictedRows:
    """Rows that one model has predicted, under their ids; and the seconds that inputs and model took."""

    version: int
    ids: Sequence[str]
    rows: Sequence[RequestValues]
    inputs: RequestInputs
    outcome: Predictions
    feature_seconds: float
    model_seconds: float


class Predictor:
    """Predicts rows of one use case, and builds what is answered and logged. Thread-safe."""

    def __init__(self, use_case: UseCase) -> None:
        self._use_case = use_case
        self._inputs = RequestInputBuilder(use_case)
        self._key_names = use_case.entity.key_names
        self._logged_names = list_logged_names(use_case)
        self._warning_features = tuple(feature for feature in use_case.stored_features if not feature.strict)

    def predict(self, model: LoadedModel, rows: Sequence[RequestValues], ids: Sequence[str]) -> PredictedRows:
        """Predict rows under ids (UUIDv7). Raises StoreError of an on-demand feature."""
        began = perf_counter()
        inputs = self._inputs.build(rows)
        built = perf_counter()
        outcome = predict_pool(model.model, inputs.pool, model.classes, model.weights)
        ended = perf_counter()
        return PredictedRows(int(model.version), ids, rows, inputs, outcome, built - began, ended - built)

    def predict_again(
        self, model: LoadedModel, predicted: PredictedRows, ids: Sequence[str]
    ) -> PredictedRows:
        """Predict the rows that another version has predicted, under ids of their own."""
        began = perf_counter()
        outcome = predict_pool(model.model, predicted.inputs.pool, model.classes, model.weights)
        seconds = perf_counter() - began
        return PredictedRows(int(model.version), ids, predicted.rows, predicted.inputs, outcome, 0.0, seconds)

    def build_bodies(self, predicted: PredictedRows) -> list[PredictionBody]:
        """The body of each row's answer.

        Where features have the severity "warning", each has a list `warnings`, empty for none.
        """
        return [
            build_prediction_body(
                prediction_id,
                predicted.version,
                dict(zip(self._key_names, row, strict=False)),
                answer,
                self._list_warnings(row),
            )
            for prediction_id, row, answer in zip(
                predicted.ids, predicted.rows, predicted.outcome.list_answers(), strict=True
            )
        ]

    def encode_record(self, predicted: PredictedRows, channel: str) -> bytes:
        """The record of the log for rows that were answered in a channel."""
        outcome = predicted.outcome
        record = PredictionRecord(
            channel,
            predicted.version,
            predicted.ids,
            predicted.rows,
            list(list_on_demand_columns(self._use_case, predicted.inputs.on_demand).values()),
            outcome.predictions.tolist(),
            [] if outcome.probabilities is None else outcome.probabilities.tolist(),
        )
        return encode_record(record)

    def _list_warnings(self, values: RequestValues) -> list[FieldReason] | None:
        """What a row breaks of the domains that only warn; None where the use case has no such domain."""
        if not self._warning_features:
            return None
        row = dict(zip(self._logged_names, values, strict=True))
        return cast("list[FieldReason]", list_domain_warnings(self._warning_features, row))
