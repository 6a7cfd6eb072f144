"""Answer bodies of a use case's service as pydantic models: what its OpenAPI page documents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from evergreen.usecase import UseCase

_ANSWER_CONFIG = ConfigDict(protected_namespaces=())


class FieldError(BaseModel):
    """One field of a body that breaks the contract."""

    field: str = Field(description="Which field, for a batch with the row's position.", examples=["age"])
    reason: str = Field(description="What is wrong with it.", examples=["Field required"])


class FieldWarning(BaseModel):
    """One field whose value is beyond its domain, or missing, where the declaration only warns of that."""

    field: str = Field(description="Which field.", examples=["age"])
    reason: str = Field(description="The check that its value breaks.", examples=["is more than 120"])


class CachedModel(BaseModel):
    """A model of before the start, in service because MLflow or MariaDB did not answer then."""

    since: str = Field(description="Since when the service answers with it, ISO 8601 UTC.")
    verified_at: str = Field(description="When it was verified, ISO 8601 UTC.")


class RefusedModel(BaseModel):
    """The champion's version where its model in MLflow may not go into service."""

    model_config = ConfigDict(protected_namespaces=())

    version: int
    reason: str = Field(description="What differs from the version that was registered.")
    hint: str = Field(description="What to do next.")
    at: str = Field(description="Since when it is refused, ISO 8601 UTC.")


class RefusedDeclaration(BaseModel):
    """A changed declaration that the service does not take over."""

    declaration: str = Field(description="Its digest; empty where it cannot be loaded.")
    reason: str = Field(description="Why it is not taken over.")
    hint: str = Field(description="What to do next.")
    at: str = Field(description="Since when it is refused, ISO 8601 UTC.")


class RunningTrial(BaseModel):
    """The trial of a challenger that a service takes part in."""

    id: str
    mode: str = Field(description="shadow, canary or ab")
    champion_version: int
    challenger_version: int
    rival_version: int | None = Field(
        None, description="The version that an A/B test compares it with; null: the champion."
    )
    share: float = Field(description="Of the keys, that each version on trial answers.")
    started_at: str = Field(description="ISO 8601 UTC.")
    ends_at: str = Field(description="When it ends at the latest, ISO 8601 UTC.")
    rows: dict[str, int] = Field(
        description="This worker's rows: of champion, challenger and rival, those that a version on trial "
        "failed on, and those that a shadow left out (dropped)."
    )


class ErrorDetail(BaseModel):
    """What went wrong, with which object, and what to do next."""

    type: str = Field(description="The kind of error.", examples=["InvalidRequest"])
    message: str = Field(description="What happened.")
    hint: str = Field("", description="What to do next.")
    fields: list[FieldError] = Field(default_factory=list, description="The fields at fault, if any.")


class ErrorAnswer(BaseModel):
    """The body of every 4xx and 503 answer."""

    error: ErrorDetail


def create_answer_model(name: str, **fields: Any) -> type[BaseModel]:
    """A model of an answer with these fields."""
    model: type[BaseModel] = create_model(name, __config__=_ANSWER_CONFIG, **fields)
    return model


def build_outcome_type(use_case: UseCase) -> Any:
    """The type of a prediction or an outcome: one of the classes, or a number."""
    if use_case.label.classes:
        return Literal[use_case.label.classes]
    return Annotated[float, Field(strict=True, allow_inf_nan=False)]


def build_prediction_model(use_case: UseCase) -> type[BaseModel]:
    """The answer to one row."""
    fields: dict[str, Any] = {
        "prediction_id": (
            str,
            Field(description="UUIDv7, as logged; send it back to /feedback with the outcome."),
        ),
        "model_version": (int, Field(description="The registered version that answered.")),
    }
    for key in use_case.entity.keys:
        kind: Any = int if key.dtype == "int" else str
        fields[key.name] = (kind | None, Field(description=key.meaning))
    fields["prediction"] = (build_outcome_type(use_case), Field(description=use_case.label.meaning))
    if use_case.label.classes:
        fields["probability"] = (float, Field(ge=0, le=1, description="Of the predicted class."))
        fields["probabilities"] = (
            dict[str, float],
            Field(
                description="By class, adding up to 1.",
                examples=[{c: round(1 / len(use_case.label.classes), 3) for c in use_case.label.classes}],
            ),
        )
    if any(not feature.strict for feature in use_case.stored_features):
        fields["warnings"] = (
            list[FieldWarning],
            Field(
                description="Values that the declaration does not expect; the row was answered and logged."
            ),
        )
    return create_answer_model("Prediction", **fields)


def build_explanation_model(use_case: UseCase) -> type[BaseModel]:
    """The explanation of one row."""
    return create_answer_model(
        "Explanation",
        model_version=(int, Field(description="The registered version that is explained.")),
        prediction=(build_outcome_type(use_case), Field(description=use_case.label.meaning)),
        base_value=(float, Field(description="The raw score of the predicted class before any feature.")),
        contributions=(
            dict[str, float],
            Field(
                description="Each model feature's SHAP value in raw-score units (log-odds for classes), "
                "largest effect first; they add up with base_value to the raw score."
            ),
        ),
    )


def build_metadata_model(use_case: UseCase) -> type[BaseModel]:
    """What is served, and since when."""
    return create_answer_model(
        "Metadata",
        use_case=(str, Field(examples=[use_case.name])),
        title=(str, ...),
        entity=(str, ...),
        keys=(list[str], ...),
        started_at=(str, Field(description="When this process started, ISO 8601 UTC.")),
        declaration=(
            str,
            Field(description="Digest of the declaration that this process holds: the one of its start."),
        ),
        follows_declaration=(
            bool,
            Field(description="Whether new processes take over when the declaration changes."),
        ),
        declaration_refused=(
            RefusedDeclaration | None,
            Field(description="Not null: the declaration has changed, and is not taken over."),
        ),
        problem=(str, Field(description="binary, multiclass or regression")),
        model_version=(int | None, Field(description="The version in service; null when there is none.")),
        run_id=(str | None, Field(description="Its MLflow run.")),
        promoted_at=(str | None, Field(description="When it became champion, ISO 8601 UTC.")),
        loaded_at=(str | None, Field(description="Since when this service answers with it.")),
        features=(list[dict[str, str]], Field(description="Name, type and meaning of each stored feature.")),
        model_features=(list[str], Field(description="The model's inputs in order.")),
        classes=(list[str], Field(description="The label's classes; none for regression.")),
        predictions=(dict[str, int], Field(description="Answers given since this service started.")),
        log=(
            dict[str, int | float | str],
            Field(
                description="Rows of the prediction log since this process started: accepted and adopted are "
                "the sum of spooled (on disk), written (in MariaDB), refused (by it), dropped, spoilt_rows; "
                "spool_age_seconds is for how long the oldest have waited on disk; trouble says why MariaDB "
                "takes none at present."
            ),
        ),
        trouble=(str, Field(description="Why the newest champion is not in service, if so.")),
        model_digest=(str | None, Field(description="SHA-256 of the file of the model in service.")),
        model_warnings=(list[str], Field(description="What to know about that version, in sentences.")),
        cached=(
            CachedModel | None,
            Field(description="Not null: a cached model, as MLflow or MariaDB did not answer at the start."),
        ),
        trial=(
            RunningTrial | None,
            Field(description="Not null: a challenger is tried beside that version."),
        ),
        refused=(
            RefusedModel | None,
            Field(description="Not null: the champion's model in MLflow is refused; see the ledger."),
        ),
    )
