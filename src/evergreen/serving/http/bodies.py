"""The JSON bodies of the service's requests and answers, as the service and its client handle them.

`schema.py` describes the same bodies for a use case in OpenAPI; these are plain dicts with types, which cost
a request nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NotRequired, TypeAlias, TypedDict, cast

if TYPE_CHECKING:
    # Not when it runs: BentoML's parent process imports the app, and must not load pandas and SQLAlchemy.
    from evergreen.model.predictions import Answer
    from evergreen.serving.predictions.log_counts import LogCounts
    from evergreen.store.predictions.prediction_row import ColumnValue, InputValue

# A row of a request: keys and stored features by name. The row that stands for a key has the keys only.
RequestRow: TypeAlias = Mapping[str, "InputValue"]


class FieldReason(TypedDict):
    """A field of a row, and what is wrong or unexpected about its value."""

    field: str
    reason: str


class PredictionBody(TypedDict):
    """The answer to one row. It also holds the entity's keys under their declared names.

    The probabilities are absent for numbers, `warnings` where every domain is a rule. Answers by key have
    `stale_views` and `missing_views`: the feature views of which the key has no fresh row.
    """

    prediction_id: str
    model_version: int
    prediction: str | float
    probability: NotRequired[float]
    probabilities: NotRequired[dict[str, float]]
    warnings: NotRequired[list[FieldReason]]
    stale_views: NotRequired[list[str]]
    missing_views: NotRequired[list[str]]


class PredictionBatchBody(TypedDict):
    """The answers to the rows of one request, in their order.

    `model_version` is the version in service. In a canary or an A/B test an answer may be another version's.
    """

    model_version: int
    predictions: list[PredictionBody]


class ExplanationBody(TypedDict):
    """Each feature's contribution to one prediction, greatest first: see `model/predict.py`."""

    model_version: int
    prediction: str | float
    base_value: float
    contributions: dict[str, float]


class OutcomeBody(TypedDict):
    """What really happened, for a prediction."""

    prediction_id: str
    actual: str | float


class FeedbackBatchBody(TypedDict):
    """How many outcomes of one request were recorded: all of them."""

    recorded: int


class FeedbackBody(TypedDict):
    """The confirmation of an outcome."""

    prediction_id: str
    recorded: bool


class FeatureBody(TypedDict):
    """A stored feature of the declaration."""

    name: str
    type: str
    meaning: str


class CachedModelBody(TypedDict):
    """Since when a service answers with a model of its home's cache, because MLflow or MariaDB did not answer
    at its start, and when this home verified that model. ISO 8601 in UTC."""

    since: str
    verified_at: str


class RefusalBody(TypedDict):
    """The champion's version where its model in MLflow may not go into service; why, what to do, and since
    when (ISO 8601 in UTC)."""

    version: int
    reason: str
    hint: str
    at: str


class DeclarationRefusalBody(TypedDict):
    """The digest of a changed declaration that the service does not take over ("" where it cannot be loaded);
    why, what to do, and since when (ISO 8601 in UTC)."""

    declaration: str
    reason: str
    hint: str
    at: str


class ModelStateBody(TypedDict):
    """How the model came into service: its part of `MetadataBody`."""

    model_digest: str | None
    model_warnings: list[str]
    cached: CachedModelBody | None
    refused: RefusalBody | None


class TrialBody(TypedDict):
    """The trial that the worker takes part in. Moments are ISO 8601 in UTC; `rows` are this worker's, of
    champion, challenger and rival (if there is one), failed, and left out (dropped)."""

    id: str
    mode: str
    champion_version: int
    challenger_version: int
    rival_version: NotRequired[int | None]
    share: float
    started_at: str
    ends_at: str
    rows: dict[str, int]


class ReadinessBody(TypedDict):
    """The body of GET /readyz."""

    status: Literal["ready", "not ready"]
    model_version: int | None
    cached: CachedModelBody | None


class MetadataBody(TypedDict):
    """What is served and since when. Moments are ISO 8601 in UTC; None while no model is in service."""

    use_case: str
    title: str
    entity: str
    keys: list[str]
    problem: str
    started_at: str
    # Absent in services of earlier versions.
    declaration: NotRequired[str]
    follows_declaration: NotRequired[bool]
    declaration_refused: NotRequired[DeclarationRefusalBody | None]
    model_version: int | None
    run_id: str | None
    promoted_at: str | None
    loaded_at: str | None
    features: list[FeatureBody]
    model_features: list[str]
    classes: list[str]
    predictions: dict[str, int]
    log: LogCounts
    trouble: str
    # As `declaration`.
    model_digest: NotRequired[str | None]
    model_warnings: NotRequired[list[str]]
    cached: NotRequired[CachedModelBody | None]
    refused: NotRequired[RefusalBody | None]
    trial: NotRequired[TrialBody | None]


class ErrorDetailBody(TypedDict):
    """What went wrong, what to do next, and the fields at fault."""

    type: str
    message: str
    hint: str
    fields: list[FieldReason]


class ErrorBody(TypedDict):
    """The body of every answer that is an error."""

    error: ErrorDetailBody


def build_prediction_body(
    prediction_id: str,
    model_version: int,
    key: dict[str, InputValue],
    answer: Answer,
    warnings: list[FieldReason] | None,
) -> PredictionBody:
    """The body for one row; `warnings` is None where the use case's domains give none."""
    body: dict[str, ColumnValue | list[FieldReason]] = {
        "prediction_id": prediction_id,
        "model_version": model_version,
        **key,
        "prediction": answer.prediction,
    }
    if answer.probabilities is not None:
        body |= {"probability": answer.probability, "probabilities": answer.probabilities}
    if warnings is not None:
        body["warnings"] = warnings
    return cast("PredictionBody", body)
