"""Requests drawn from a declaration: in its domain, seeded, with nulls where they are allowed."""

from __future__ import annotations

import json

import pytest

from evergreen.serving.http.examples import draw_requests
from evergreen.serving.http.schema import build_schemas
from evergreen.usecase import Entity, Feature, FeatureView, FileSource, Key, Label, UseCase


def test_same_seed_same_rows_other_seed_other_rows(parcel: UseCase) -> None:
    assert draw_requests(parcel, 20, seed=1) == draw_requests(parcel, 20, seed=1)
    assert draw_requests(parcel, 20, seed=1) != draw_requests(parcel, 20, seed=2)


def test_every_row_is_accepted_by_the_service_schema(parcel: UseCase) -> None:
    body = build_schemas(parcel).predict_batch
    rows = draw_requests(parcel, 500, seed=3)
    body.model_validate_json(json.dumps({"data": rows}))


def test_nulls_only_where_allowed(parcel: UseCase) -> None:
    rows = draw_requests(parcel, 500, seed=4)
    missing = {name for row in rows for name, value in row.items() if value is None}
    assert missing == {"depot", "temperature", "note"}


@pytest.mark.parametrize(
    "feature",
    [
        Feature("x", "float", "no range"),
        Feature("x", "float", "only a minimum", minimum=5_000_000.0),
        Feature("x", "int", "only a maximum", maximum=-3),
        Feature("x", "int", "narrow", minimum=2.5, maximum=3.5),
        Feature("x", "int", "one value", minimum=4, maximum=4),
        Feature("x", "category", "no list"),
        Feature("x", "text", "free"),
    ],
)
def test_open_and_narrow_domains(feature: Feature) -> None:
    case = UseCase(
        name="narrow",
        title="",
        meaning="",
        entity=Entity("thing", (Key("thing", "text", "its name"),)),
        views=(FeatureView("v", FileSource("f.csv"), (feature,), "m"),),
        label=Label("y", FileSource("f.csv"), "m"),
    )
    rows = draw_requests(case, 50, seed=5)
    build_schemas(case).predict_batch.model_validate_json(json.dumps({"data": rows}))
