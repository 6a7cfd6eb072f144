"""What a service can be asked: method, path and body of each call, and what is read of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from evergreen.serving.http.bodies import (
    ExplanationBody,
    FeedbackBody,
    MetadataBody,
    OutcomeBody,
    PredictionBody,
    RequestRow,
)

Answer = TypeVar("Answer")

_PREDICTIONS: Mapping[str, type] = {"predictions": list}


@dataclass(frozen=True)
class ServiceCall(Generic[Answer]):
    """A call; `read` makes what the caller gets of the JSON object of a successful answer, which has values
    of these `kinds` under these names."""

    method: Literal["GET", "POST"]
    path: str
    body: object
    read: Callable[[Any], Answer]
    kinds: Mapping[str, type] = field(default_factory=dict)

    def has_values(self, answer: Mapping[str, object]) -> bool:
        """Whether an answer has what is read of it."""
        return all(isinstance(answer.get(name), kind) for name, kind in self.kinds.items())


def build_predict_call(row: RequestRow) -> ServiceCall[PredictionBody]:
    """Predict one row."""
    return ServiceCall("POST", "/predict", {"data": dict(row)}, _read_all)


def build_predict_batch_call(rows: Iterable[RequestRow]) -> ServiceCall[list[PredictionBody]]:
    """Predict many rows by one version."""
    body = {"data": [dict(row) for row in rows]}
    return ServiceCall("POST", "/predict_batch", body, _read_predictions, _PREDICTIONS)


def build_predict_by_key_call(key: RequestRow) -> ServiceCall[PredictionBody]:
    """Predict from the stored features of one key."""
    return ServiceCall("POST", "/predict_by_key", {"data": dict(key)}, _read_all)


def build_predict_by_keys_call(keys: Iterable[RequestRow]) -> ServiceCall[list[PredictionBody]]:
    """Predict from the stored features of several keys."""
    body = {"data": [dict(key) for key in keys]}
    return ServiceCall("POST", "/predict_by_key", body, _read_predictions, _PREDICTIONS)


def build_explain_call(row: RequestRow) -> ServiceCall[ExplanationBody]:
    """Explain the prediction of one row."""
    return ServiceCall("POST", "/explain", {"data": dict(row)}, _read_all)


def build_feedback_call(prediction_id: str, actual: str | float) -> ServiceCall[FeedbackBody]:
    """Report the outcome of one prediction."""
    return ServiceCall("POST", "/feedback", {"prediction_id": prediction_id, "actual": actual}, _read_all)


def build_feedback_batch_call(outcomes: Sequence[tuple[str, str | float]]) -> ServiceCall[int]:
    """Report the outcomes of several predictions, each an id and what really happened."""
    data: list[OutcomeBody] = [{"prediction_id": each, "actual": actual} for each, actual in outcomes]
    return ServiceCall("POST", "/feedback_batch", {"data": data}, _read_recorded, {"recorded": int})


def build_metadata_call() -> ServiceCall[MetadataBody]:
    """Ask what is served."""
    return ServiceCall("GET", "/metadata", None, _read_all)


def _read_all(body: Any) -> Any:
    return body


def _read_predictions(body: Any) -> list[PredictionBody]:
    predictions: list[PredictionBody] = body["predictions"]
    return predictions


def _read_recorded(body: Any) -> int:
    return int(body["recorded"])
