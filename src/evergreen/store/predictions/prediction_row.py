"""A row of the prediction log, and its form as JSON while it waits on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from evergreen.store.predictions.prediction_id import parse_prediction_time

# A key or a feature as Python's own type; None where it is missing.
InputValue: TypeAlias = str | int | float | None
ColumnValue: TypeAlias = InputValue | dict[str, float] | dict[str, InputValue]

# No declared name begins with it, so that no input is taken for this field.
_ON_DEMAND = "_on_demand"
_OWN_FIELDS = frozenset(
    {
        *("prediction_id", "model_version", "channel", "predicted_at"),
        *("prediction", "probability", "probabilities", _ON_DEMAND),
    }
)


@dataclass(frozen=True, slots=True)
class PredictionRow:
    """One served prediction.

    `prediction_id` is a UUIDv7, whose time is the moment of the prediction. `inputs` are the entity's keys
    and the stored features by name. `probability` (of the predicted class) and `probabilities` (by class) are
    None for numbers. `on_demand` are the on-demand features that were computed of the inputs, by name; empty
    in rows that earlier versions made.
    """

    prediction_id: str
    model_version: int
    channel: str
    inputs: dict[str, InputValue]
    prediction: str | float
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    on_demand: dict[str, InputValue] = field(default_factory=dict)

    @property
    def predicted_at(self) -> datetime:
        """The moment (aware UTC, milliseconds) that the id carries. Raises StoreError for another id."""
        return parse_prediction_time(self.prediction_id)

    def to_json(self) -> dict[str, ColumnValue]:
        """The fields by name, inputs beside them, and `predicted_at` as ISO 8601 text; JSON-able."""
        document: dict[str, ColumnValue] = {
            "prediction_id": self.prediction_id,
            "model_version": self.model_version,
            "channel": self.channel,
            **self.inputs,
            "prediction": self.prediction,
            "probability": self.probability,
            "probabilities": self.probabilities,
            "predicted_at": self.predicted_at.isoformat(),
        }
        return {**document, _ON_DEMAND: self.on_demand} if self.on_demand else document

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PredictionRow:
        """The row that `to_json` wrote, in this version or an earlier one. Raises KeyError, TypeError.

        Every field that is not one of the log's own is an input.
        """
        return cls(
            prediction_id=data["prediction_id"],
            model_version=data["model_version"],
            channel=data["channel"],
            inputs={name: value for name, value in data.items() if name not in _OWN_FIELDS},
            prediction=data["prediction"],
            probability=data.get("probability"),
            probabilities=data.get("probabilities"),
            on_demand=dict(data.get(_ON_DEMAND, {})),
        )
