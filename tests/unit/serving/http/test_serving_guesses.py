"""Guessed domains, of severity "warning": a request beyond them is answered, warned of and logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.reference_profile import build_reference_profile
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.http.schema import build_schemas
from evergreen.settings import Settings
from evergreen.usecase import UseCase
from support.answering import answering, fit
from support.parcel_case import row


@pytest.fixture
def guessed(parcel: UseCase) -> UseCase:
    """The parcel case as if its domains were guesses, but for that of the volume."""
    (view,) = parcel.views
    features = tuple(replace(f, severity="error" if f.name == "volume" else "warning") for f in view.features)
    return replace(parcel, views=(replace(view, features=features),))


@pytest.fixture
def logged() -> list[Any]:
    return []


@pytest.fixture
def http(settings_here: Settings, guessed: UseCase, logged: list[Any]) -> Iterator[TestClient]:
    runtime = answering(settings_here, guessed, fit(guessed), logged)
    with TestClient(configure_app(create_app(), runtime), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def settings_here(tmp_path: Any) -> Settings:
    return Settings(home=tmp_path / "home", use_cases=str(tmp_path / "usecases"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weight": 51}, "is more than 50"),
        ({"weight": -3.5}, "is less than 0.1"),
        ({"weight": None}, "has no value"),
        ({"stops": 13}, "is more than 12"),
        ({"carrier": "drone"}, "is not one of foot, bike, van"),
        ({"carrier": None}, "has no value"),
    ],
)
def test_a_value_beyond_a_guess_is_answered_with_a_warning_and_logged(
    http: TestClient, logged: list[Any], changes: dict[str, Any], reason: str
) -> None:
    (field,) = changes
    for path, data in (("/predict", row(**changes)), ("/predict_batch", [row(), row(**changes)])):
        response = http.post(path, json={"data": data})
        assert response.status_code == 200, response.text
        body = response.json()
        answers = body.get("predictions", [body])
        assert answers[-1]["warnings"] == [{"field": field, "reason": reason}]
        assert set(answers[-1]["probabilities"]) == {"no", "yes"}
        assert logged[-1].inputs[field] == changes[field]
    assert answers[0]["warnings"] == []


def test_a_required_value_that_a_guess_only_expects_may_be_left_out(http: TestClient) -> None:
    body = row()
    del body["weight"], body["carrier"]
    told = http.post("/predict", json={"data": body}).json()["warnings"]
    assert [each["field"] for each in told] == ["weight", "carrier"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"volume": 201}, "volume"),
        ({"volume": None}, "volume"),
        ({"weight": "heavy"}, "weight"),
        ({"stops": 3.5}, "stops"),
        ({"carrier": "x" * 256}, "carrier"),
        ({"carrier": ""}, "carrier"),
        ({"carrier": 3}, "carrier"),
    ],
)
def test_a_declared_domain_and_another_type_are_refused(
    http: TestClient, logged: list[Any], changes: dict[str, Any], field: str
) -> None:
    response = http.post("/predict", json={"data": row(**changes)})
    assert response.status_code == 422
    assert response.json()["error"]["fields"][0]["field"] == field
    assert logged == []


def test_the_openapi_page_agrees(http: TestClient, parcel: UseCase) -> None:
    made = http.get("/openapi.json").json()["components"]["schemas"]
    properties = made["Row"]["properties"]
    assert made["Row"]["required"] == ["volume"]
    assert {"type": "number", "minimum": 0.1, "maximum": 200}.items() <= properties["volume"].items()
    assert "minimum" not in str(properties["weight"])
    assert "enum" not in str(properties["carrier"])
    assert "(expected: from 0.1 to 50; not null; otherwise" in properties["weight"]["description"]
    assert made["Prediction"]["properties"]["warnings"]["items"] == {
        "$ref": "#/components/schemas/FieldWarning"
    }
    assert "warnings" in made["Prediction"]["required"]
    # Where every domain is a rule, answers are what they were.
    assert "warnings" not in build_schemas(parcel).prediction.model_fields


def test_every_documented_field_of_an_answer_is_there(http: TestClient) -> None:
    made = http.get("/openapi.json").json()["components"]["schemas"]
    assert set(http.post("/predict", json={"data": row()}).json()) == set(made["Prediction"]["properties"])


def test_drift_sees_what_was_beyond_the_guess(http: TestClient, logged: list[Any], guessed: UseCase) -> None:
    reference = {
        each.feature: each
        for each in build_reference_profile(
            guessed,
            {
                "weight": np.linspace(0.1, 50, 400),
                "density": np.ones(400),
                "volume": np.linspace(0.1, 200, 400),
                "stops": np.arange(400.0) % 13,
                "temperature": np.ones(400),
                "carrier": np.array(["foot", "bike", "van", "van"] * 100, dtype=object),
                "depot": np.array(["a", "b"] * 200, dtype=object),
                "heavy": np.array([None, "van"] * 200, dtype=object),
            },
            np.array(["no", "yes"] * 200, dtype=object),
        )
    }
    for changes in ({"weight": 400}, {"weight": -400}, {"weight": None}, {"carrier": "drone"}):
        http.post("/predict", json={"data": row(**changes)})
    columns = build_columns_from_rows(guessed, [row.inputs for row in logged])
    weights = reference["weight"].count(columns["weight"])
    assert (weights[0], weights[-2], weights[-1]) == (2, 1, 1)  # the row of 2.5 lies in the first bin, too
    assert reference["carrier"].count(columns["carrier"])[-2] == 1
