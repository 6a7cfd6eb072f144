"""Request bodies: what the declaration allows and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from evergreen.serving.http.schema import build_schemas
from evergreen.usecase import UseCase
from support.parcel_case import row


def faults(parcel: UseCase, data: Any) -> dict[str, str]:
    """What is wrong with that row, by field."""
    try:
        build_schemas(parcel).predict.model_validate_json(json.dumps({"data": data}))
    except ValidationError as error:
        return {str(e["loc"][-1]): e["type"] for e in error.errors()}
    return {}


def test_a_good_row_passes_unchanged(parcel: UseCase) -> None:
    body = build_schemas(parcel).predict.model_validate_json(json.dumps({"data": row()}))
    assert body.data.__dict__ == row()


def test_nullable_fields_and_keys_may_be_null_or_absent(parcel: UseCase) -> None:
    small = {k: v for k, v in row().items() if k not in ("parcel_id", "depot", "temperature", "note")}
    body = build_schemas(parcel).predict.model_validate_json(json.dumps({"data": small}))
    assert body.data.depot is None
    assert faults(parcel, row(parcel_id=None, depot=None, temperature=None, note=None)) == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"weight": 0.05}, "weight"),
        ({"weight": 51}, "weight"),
        ({"weight": "2.5"}, "weight"),
        ({"weight": True}, "weight"),
        ({"weight": None}, "weight"),
        ({"weight": [1]}, "weight"),
        ({"weight": 10**400}, "weight"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"stops": 3.5}, "stops"),
        ({"stops": -1}, "stops"),
        ({"stops": 13}, "stops"),
        ({"stops": "3"}, "stops"),
        ({"stops": False}, "stops"),
        ({"carrier": "drone"}, "carrier"),
        ({"carrier": "Van"}, "carrier"),
        ({"carrier": 1}, "carrier"),
        ({"depot": ""}, "depot"),
        ({"depot": "x" * 256}, "depot"),
        ({"depot": 5}, "depot"),
        ({"note": "x" * 16_001}, "note"),
        ({"note": "\ud800"}, "note"),
        ({"parcel_id": 2**63}, "parcel_id"),
        ({"parcel_id": "seven"}, "parcel_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_breaks_the_contract_is_named(parcel: UseCase, changes: dict[str, Any], field: str) -> None:
    # Python's own parser, as the service uses it, lets NaN and lone surrogates through: the models must not.
    with pytest.raises(ValidationError) as caught:
        build_schemas(parcel).predict.model_validate({"data": row(**changes)})
    assert [e["loc"][-1] for e in caught.value.errors()] == [field]


def test_whole_numbers_may_be_written_with_a_point(parcel: UseCase) -> None:
    body = build_schemas(parcel).predict.model_validate({"data": row(stops=3.0)})
    assert body.data.stops == 3
    assert isinstance(body.data.stops, int)


def test_a_missing_required_field_is_named(parcel: UseCase) -> None:
    data = row()
    del data["weight"]
    assert faults(parcel, data) == {"weight": "missing"}


@pytest.mark.parametrize("count", [0, 501])
def test_a_batch_has_between_one_and_max_rows(parcel: UseCase, count: int) -> None:
    with pytest.raises(ValidationError, match="item"):
        build_schemas(parcel).predict_batch.model_validate({"data": [row()] * count})


def test_keys_come_alone_or_in_a_list(parcel: UseCase) -> None:
    body = build_schemas(parcel).predict_by_key
    assert body.model_validate({"data": {"parcel_id": 1}}).data.parcel_id == 1
    assert len(body.model_validate({"data": [{"parcel_id": 1}, {"parcel_id": 2}]}).data) == 2
    for wrong in ({}, {"parcel_id": None}, {"parcel_id": 1, "weight": 2}, [], "1"):
        with pytest.raises(ValidationError):
            body.model_validate({"data": wrong})


@pytest.mark.parametrize("actual", ["maybe", "", None, 1])
def test_feedback_is_one_of_the_classes(parcel: UseCase, actual: Any) -> None:
    body = build_schemas(parcel).feedback
    good = "0190e1d2-0000-7000-8000-000000000000"
    assert body.model_validate({"prediction_id": good, "actual": "yes"}).actual == "yes"
    with pytest.raises(ValidationError):
        body.model_validate({"prediction_id": good, "actual": actual})
    with pytest.raises(ValidationError):
        body.model_validate({"prediction_id": "'; DROP TABLE", "actual": "yes"})
    with pytest.raises(ValidationError):
        body.model_validate({"prediction_id": f"{good}\n", "actual": "yes"})


def test_the_schema_documents_every_field(parcel: UseCase) -> None:
    properties = build_schemas(parcel).row.model_json_schema()["properties"]
    assert set(properties) == set(row())
    assert all(p.get("description") for p in properties.values())
    assert properties["carrier"]["enum"] == ["foot", "bike", "van"]
    assert (properties["weight"]["minimum"], properties["weight"]["maximum"]) == (0.1, 50)
    assert properties["stops"]["type"] == "integer"
