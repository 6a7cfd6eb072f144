"""The OpenAPI document: exact domains, every answer that may come, and how to sign in."""

from __future__ import annotations

from typing import Any

import pytest

from evergreen.serving.app import configure_app, create_app
from evergreen.serving.guard.routes import ROUTES
from evergreen.serving.http.openapi import build_document
from evergreen.usecase import UseCase
from support.parcel_case import row

BIGINT = 2**63


def build(parcel: UseCase, *, keys_required: bool = False, metrics_open: bool = False) -> dict[str, Any]:
    class Runtime:
        use_case = parcel
        count_refused = None
        read_vectors = None

    app = configure_app(create_app(), Runtime())  # type: ignore[arg-type]
    return build_document(app, keys_required=keys_required, metrics_open=metrics_open)


@pytest.fixture
def document(parcel: UseCase) -> dict[str, Any]:
    return build(parcel)


def test_fields_have_their_names_domains_and_exact_64_bit_limits(
    document: dict[str, Any], parcel: UseCase
) -> None:
    schemas = document["components"]["schemas"]
    fields = schemas["Row"]["properties"]
    assert fields.keys() == row().keys()
    key = schemas["Key"]["properties"]["parcel_id"]
    assert (key["minimum"], key["maximum"]) == (-BIGINT, BIGINT - 1)
    optional = next(each for each in fields["parcel_id"]["anyOf"] if each["type"] == "integer")
    assert (optional["minimum"], optional["maximum"]) == (-BIGINT, BIGINT - 1)
    for feature in parcel.stored_features:
        assert fields[feature.name]["description"].startswith(feature.meaning)
        if feature.dtype == "int":
            kinds = fields[feature.name].get("anyOf", [fields[feature.name]])
            (number,) = [each for each in kinds if each["type"] == "integer"]
            assert isinstance(number["minimum"], int)
            assert isinstance(number["maximum"], int)
    assert schemas["FeedbackRequest"]["properties"]["prediction_id"]["examples"]


def test_every_call_documents_what_the_guard_may_answer(document: dict[str, Any]) -> None:
    for route in ROUTES:
        for operation in document["paths"].get(route.template, {}).values():
            expected = {"421"} | ({"408", "413"} if route.body != "none" else set())
            expected |= {"401"} if route.access != "health" else set()
            assert expected <= set(operation["responses"]), route
    assert "503" in document["paths"]["/predict"]["post"]["responses"]
    assert "503" in document["paths"]["/readyz"]["get"]["responses"]


def test_every_call_documents_the_headers_that_it_reads_and_sends(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            names = {parameter["name"] for parameter in operation["parameters"]}
            is_logged = path in ("/predict", "/predict_batch", "/predict_by_key")
            assert names == {"X-Request-ID", "traceparent"} | (
                {"Idempotency-Key", "X-Evergreen-Channel"} if is_logged else set()
            ), path
            assert all("X-Request-ID" in answer["headers"] for answer in operation["responses"].values())


def test_a_key_is_asked_for_where_it_is_required(parcel: UseCase, document: dict[str, Any]) -> None:
    assert {} in document["security"]
    required = build(parcel, keys_required=True)
    assert required["security"] == [{"bearer": []}, {"header": []}]
    assert set(required["components"]["securitySchemes"]) == {"bearer", "header"}
    assert required["paths"]["/livez"]["get"]["security"] == []
    assert "security" not in required["paths"]["/predict"]["post"]
    assert "security" not in required["paths"]["/metrics"]["get"]
    opened = build(parcel, keys_required=True, metrics_open=True)
    assert opened["paths"]["/metrics"]["get"]["security"] == []
