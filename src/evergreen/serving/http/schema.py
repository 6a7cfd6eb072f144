"""Request and answer bodies of a use case's service as pydantic models, built from its declaration.

The service validates requests with them, and its OpenAPI page documents them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from evergreen.serving.http.answer_schema import (
    build_explanation_model,
    build_metadata_model,
    build_outcome_type,
    build_prediction_model,
    create_answer_model,
)
from evergreen.serving.http.examples import draw_requests
from evergreen.serving.http.first_faults import build_row_search, limit_unknown_fields
from evergreen.usecase import Feature, Key, UseCase

# The lengths of the tables' columns (store/tables/declared.py): the log could not take a longer value.
CATEGORY_CHARACTERS = 255
KEY_CHARACTERS = 191
TEXT_CHARACTERS = 16_000
_BIGINT = 2**63
# A UUIDv7 of a moment before the year 2527: the log is kept by the moment that an id carries.
_PREDICTION_ID = r"^0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"

# The validator of every request model, by a name that pydantic wants for it.
_limit_fields: Any = classmethod(limit_unknown_fields)
_BOUNDED: dict[str, Any] = {"limit_unknown_fields": model_validator(mode="wrap")(_limit_fields)}
_REQUEST_CONFIG = ConfigDict(extra="forbid", protected_namespaces=())


@dataclass(frozen=True)
class Schemas:
    """The models of one use case's service."""

    row: type[BaseModel]
    key: type[BaseModel]
    predict: type[BaseModel]
    predict_batch: type[BaseModel]
    predict_by_key: type[BaseModel]
    feedback: type[BaseModel]
    feedback_batch: type[BaseModel]
    prediction: type[BaseModel]
    prediction_batch: type[BaseModel]
    explanation: type[BaseModel]
    feedback_answer: type[BaseModel]
    feedback_batch_answer: type[BaseModel]
    metadata: type[BaseModel]


def build_schemas(use_case: UseCase) -> Schemas:
    """Build the request and answer models of a use case."""
    row = _build_row_model(use_case)
    key = _create_request_model("Key", **_build_key_fields(use_case, required=True))
    prediction = build_prediction_model(use_case)
    limit = use_case.serving.max_batch
    feedback = _create_request_model(
        "FeedbackRequest",
        prediction_id=(
            Annotated[str, StringConstraints(pattern=_PREDICTION_ID), BeforeValidator(_check_prediction_id)],
            Field(
                description="The id that an answer carried.",
                examples=["019e0b3c-5a10-7c2e-9d41-6f0c2b7a8e15"],
            ),
        ),
        actual=(build_outcome_type(use_case), Field(description=use_case.label.meaning)),
    )
    return Schemas(
        row=row,
        key=key,
        predict=_create_request_model(
            "PredictRequest", data=(row, Field(description=f"One {use_case.entity.name}."))
        ),
        predict_batch=_create_request_model(
            "PredictBatchRequest",
            data=(_build_list_type(row, limit), Field(description=f"One to {limit} rows.")),
        ),
        predict_by_key=_create_request_model(
            "PredictByKeyRequest",
            data=(
                _build_either_type(key, _build_list_type(key, limit)),
                Field(description="One key, or a list of keys, whose newest stored features are used."),
            ),
        ),
        feedback=feedback,
        feedback_batch=_create_request_model(
            "FeedbackBatchRequest",
            data=(_build_list_type(feedback, limit), Field(description=f"One to {limit} outcomes.")),
        ),
        prediction=prediction,
        prediction_batch=create_answer_model(
            "PredictionBatch",
            model_version=(
                int,
                Field(
                    description="The version in service. It answered every row, but for those that a version "
                    "on trial answered; each row names its own."
                ),
            ),
            predictions=(list[prediction], Field(description="One answer per row, in order.")),  # type: ignore[valid-type]
        ),
        explanation=build_explanation_model(use_case),
        feedback_answer=create_answer_model("FeedbackAnswer", prediction_id=(str, ...), recorded=(bool, ...)),
        feedback_batch_answer=create_answer_model(
            "FeedbackBatchAnswer", recorded=(int, Field(description="How many outcomes: all of them."))
        ),
        metadata=build_metadata_model(use_case),
    )


def describe_use_case(use_case: UseCase) -> str:
    """The use case and each of its fields in Markdown, for the head of the OpenAPI page."""
    lines = [use_case.meaning, "", "<details><summary>Every field, its domain and its meaning</summary>", ""]
    lines += ["| field | type | domain | meaning |", "|---|---|---|---|"]
    lines += [f"| {k.name} | {k.dtype} | key, optional | {k.meaning} |" for k in use_case.entity.keys]
    lines += [
        f"| {f.name} | {f.dtype} | {_describe_domain(f)} | {f.meaning} |" for f in use_case.stored_features
    ]
    return "\n".join([*lines, "", "</details>"])


def _describe_domain(feature: Feature) -> str:
    parts = []
    if feature.allowed:
        # In backticks, because a value may contain a comma.
        parts.append(" ".join(f"`{value}`" for value in feature.allowed))
    if feature.minimum is not None:
        parts.append(f"from {feature.minimum:g}")
    if feature.maximum is not None:
        parts.append(f"to {feature.maximum:g}")
    texts = [" ".join(parts)] if parts else []
    if feature.nullable:
        texts.append("may be null")
    elif not feature.strict:
        texts.append("not null")
    text = "; ".join(texts) or "any"
    return text if feature.strict else f"expected: {text}"


def _create_request_model(name: str, **fields: Any) -> type[BaseModel]:
    model: type[BaseModel] = create_model(name, __config__=_REQUEST_CONFIG, __validators__=_BOUNDED, **fields)
    return model


def _build_list_type(model: type[BaseModel], limit: int) -> Any:
    rows = Annotated[list[model], Field(min_length=1, max_length=limit, fail_fast=True)]  # type: ignore[valid-type]
    return Annotated[rows, build_row_search(model)]


def _build_either_type(model: type[BaseModel], rows: Any) -> Any:
    """One row or a list of them. Which it is decides what is validated: pydantic tries both members of a
    union, and names the faults of both by names of functions."""
    validate_rows = TypeAdapter(rows).validate_python

    def _validate(value: Any, _: ValidatorFunctionWrapHandler) -> Any:
        return validate_rows(value) if isinstance(value, list) else model.model_validate(value)

    return Annotated[model | rows, WrapValidator(_validate)]


def _build_row_model(use_case: UseCase) -> type[BaseModel]:
    fields = _build_key_fields(use_case, required=False)
    for feature in use_case.stored_features:
        kind = _build_feature_type(feature)
        fields[feature.name] = (
            (kind | None, Field(None, description=_describe_feature(feature)))
            if feature.nullable or not feature.strict
            else (kind, Field(description=_describe_feature(feature)))
        )
    rows = draw_requests(use_case, 50, seed=7)
    # A value for every field, so that the page's example shows each of them.
    example: dict[str, JsonValue] = {
        name: next((r[name] for r in rows if r[name] is not None), None) for name in rows[0]
    }
    config = ConfigDict(extra="forbid", protected_namespaces=(), json_schema_extra={"example": example})
    return create_model("Row", __config__=config, __doc__=use_case.meaning, __validators__=_BOUNDED, **fields)


def _build_key_fields(use_case: UseCase, *, required: bool) -> dict[str, Any]:
    if required:
        return {k.name: (_build_key_type(k), Field(description=k.meaning)) for k in use_case.entity.keys}
    return {
        k.name: (
            _build_key_type(k) | None,
            Field(None, description=f"{k.meaning} (optional; echoed and logged)"),
        )
        for k in use_case.entity.keys
    }


def _build_key_type(key: Key) -> Any:
    if key.dtype == "int":
        return Annotated[int, Field(ge=-_BIGINT, le=_BIGINT - 1), BeforeValidator(_parse_whole_number)]
    return Annotated[str, StringConstraints(strict=True, min_length=1, max_length=KEY_CHARACTERS)]


def _describe_feature(feature: Feature) -> str:
    """The meaning; with severity "warning" also the domain, which the schema does not enforce."""
    if feature.strict:
        return feature.meaning
    domain = _describe_domain(feature).replace("`", "")
    return f"{feature.meaning} ({domain}; otherwise the answer carries a warning)"


def _build_feature_type(feature: Feature) -> Any:
    """The type that a value must have; with severity "error" its domain is part of it."""
    minimum = feature.minimum if feature.strict else None
    maximum = feature.maximum if feature.strict else None
    if feature.dtype == "int":
        low = -_BIGINT if minimum is None else math.ceil(minimum)
        high = _BIGINT - 1 if maximum is None else math.floor(maximum)
        return Annotated[int, Field(ge=low, le=high), BeforeValidator(_parse_whole_number)]
    if feature.dtype == "float":
        return Annotated[float, Field(strict=True, allow_inf_nan=False, ge=minimum, le=maximum)]
    if feature.allowed and feature.strict:
        return Literal[feature.allowed]
    length = CATEGORY_CHARACTERS if feature.dtype == "category" else TEXT_CHARACTERS
    return Annotated[str, StringConstraints(strict=True, min_length=1, max_length=length)]


def _check_prediction_id(value: Any) -> Any:
    """The value, if it may be the id of a prediction; raises in words, as a pattern alone does not."""
    if isinstance(value, str) and not re.fullmatch(_PREDICTION_ID, value):
        raise PydanticCustomError("prediction_id", "Input is not a prediction id (a UUIDv7 of an answer)")
    return value


def _parse_whole_number(value: Any) -> Any:
    """A whole number as int, 3.0 included because JSON has one kind of number; raises for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise PydanticCustomError("whole_number", "Input should be a whole number")
    if not -_BIGINT <= value < _BIGINT:
        raise PydanticCustomError("whole_number_size", "Input should fit into 64 bits")
    return value
