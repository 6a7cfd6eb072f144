"""What the locust users send: every bad request breaks the contract, and everything else keeps it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from load_tests.request_data import BadRequest, Requests, build_requests, read_keys

from evergreen.serving.http.schema import Schemas, build_schemas
from evergreen.settings import Settings
from evergreen.usecases import load_use_case

USE_CASES = ("credit_score", "titanic")


@pytest.fixture(params=USE_CASES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def requests(name: str) -> Requests:
    return build_requests(Settings(), name, seed=7)


@pytest.fixture
def schemas(name: str) -> Schemas:
    return build_schemas(load_use_case(name, Settings()))


def test_rows_and_keys_keep_the_contract(requests: Requests, schemas: Schemas) -> None:
    for row in requests.rows[:100]:
        schemas.predict.model_validate({"data": row})
    for key in requests.keys[:100]:
        schemas.predict_by_key.model_validate({"data": key})
    assert not requests.keys_exist


def test_each_bad_body_breaks_the_contract(requests: Requests, schemas: Schemas) -> None:
    by_path = {
        "/predict": schemas.predict,
        "/predict_batch": schemas.predict_batch,
        "/feedback": schemas.feedback,
    }
    refused: list[BadRequest] = [bad for bad in requests.bad if bad.status == 422]
    assert len(refused) >= 6
    for bad in refused:
        with pytest.raises(ValidationError):
            by_path[bad.path].model_validate(json.loads(bad.body))


def test_a_bad_body_is_bad_in_one_way(requests: Requests, schemas: Schemas) -> None:
    """The row behind it keeps the contract, so that a service that overlooks the fault answers 200."""
    by_kind = {bad.kind: bad for bad in requests.bad}
    assert len(by_kind) == len(requests.bad)
    for kind in ("unknown field", "text for a number", "missing field"):
        with pytest.raises(ValidationError) as caught:
            schemas.predict.model_validate(json.loads(by_kind[kind].body))
        assert caught.value.error_count() == 1, kind


def test_what_is_no_json_is_none(requests: Requests) -> None:
    (bad,) = [bad for bad in requests.bad if bad.status == 400]
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(bad.body)


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('[{"customer_id": 5}]')
    requests = build_requests(Settings(), "credit_score", seed=7, keys=file)
    assert requests.keys == [{"customer_id": 5}]
    assert requests.keys_exist


@pytest.mark.parametrize("text", ["[]", '{"customer_id": 1}', "[1]"])
def test_a_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="no JSON list of keys"):
        read_keys(file)
