"""The app's answers over HTTP with a stand-in runtime: a bad request is a 4xx in words, with its field."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from evergreen.errors import KeyNotFound, NoChampion, StoreUnreachable
from evergreen.serving.app import configure_app, create_app
from evergreen.serving.channels import PROBE_CHANNEL
from evergreen.usecase import UseCase
from support.guarded import build_test_guard
from support.parcel_case import row
from support.waiting import eventually


class StandIn:
    """Answers as a Runtime does, and fails when the test wants it to."""

    def __init__(self, use_case: UseCase) -> None:
        self.trials = SimpleNamespace(canary=None)
        self.use_case = use_case
        self.error: Exception | None = None
        self.listed = 0
        self.hangs: threading.Event | None = None
        self.channels: list[str] = []
        self.asked: list[Any] = []
        self.refused: list[tuple[str, str]] = []

    def answer_rows(self, rows: Sequence[Any], channel: str, _: str | None) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        self.channels.append(channel)
        self.asked.extend(rows)
        return [{"prediction_id": "x", "model_version": 3, "prediction": "no"} for _ in rows]

    def list_values(self, rows: Sequence[Any]) -> Sequence[Any]:
        return rows

    def answer_many(self, rows: Sequence[Any], channel: str, key: str | None) -> bytes:
        return json.dumps({"model_version": 3, "predictions": self.answer_rows(rows, channel, key)}).encode()

    def list_keys(self, keys: Sequence[Any]) -> Sequence[Any]:
        self.listed += 1
        return keys

    def read_vectors(self, keys: Sequence[Any]) -> dict[Any, Any]:
        if self.hangs is not None:
            self.hangs.wait(30)
        if self.error:
            raise self.error
        return {}

    def answer_keys(self, keys: Sequence[Any], _: Any, channel: str, key: str | None) -> list[dict[str, Any]]:
        return self.answer_rows([row(**each) for each in keys], channel, key)

    def take_feedback(self, outcomes: Sequence[Any], at: datetime, key: str | None) -> None:
        if self.error:
            raise self.error
        assert at.tzinfo is not None
        self.asked.extend(outcomes)

    def count_refused(self, faults: Sequence[tuple[str, str]]) -> None:
        self.refused.extend(faults)

    def metadata(self) -> dict[str, Any]:
        return {"model_version": 3}


@pytest.fixture
def runtime(parcel: UseCase) -> StandIn:
    return StandIn(parcel)


@pytest.fixture
def http(runtime: StandIn, tmp_path: Path) -> Iterator[TestClient]:
    app = configure_app(create_app(), runtime)  # type: ignore[arg-type]
    guarded = build_test_guard(app, runtime.use_case, tmp_path)
    with TestClient(guarded, raise_server_exceptions=False) as client:
        yield client


def error_of(response: Any, status: int) -> SimpleNamespace:
    assert response.status_code == status, response.text
    assert "Traceback" not in response.text
    return SimpleNamespace(**response.json()["error"])


def test_one_row(http: TestClient, runtime: StandIn) -> None:
    response = http.post("/predict", json={"data": row()})
    assert response.status_code == 200
    assert response.json()["prediction"] == "no"
    assert runtime.asked == [row()]
    assert runtime.channels == ["online"]


def test_a_batch_is_answered_in_one_piece(http: TestClient, runtime: StandIn) -> None:
    response = http.post("/predict_batch", json={"data": [row()] * 40})
    assert response.json()["model_version"] == 3
    assert len(response.json()["predictions"]) == 40


def test_by_key_single_and_list(http: TestClient, runtime: StandIn) -> None:
    assert http.post("/predict_by_key", json={"data": {"parcel_id": 5}}).json()["prediction"] == "no"
    many = http.post("/predict_by_key", json={"data": [{"parcel_id": 5}, {"parcel_id": 6}]}).json()
    assert len(many["predictions"]) == 2
    assert [asked["parcel_id"] for asked in runtime.asked] == [5, 5, 6]


def test_checks_are_not_traffic(http: TestClient, runtime: StandIn) -> None:
    for channel in ("canary", "probe", "Probe"):
        http.post("/predict", json={"data": row()}, headers={"X-Evergreen-Channel": channel})
    assert runtime.channels == [PROBE_CHANNEL] * 3
    wrong = http.post("/predict", json={"data": row()}, headers={"X-Evergreen-Channel": "batch"})
    assert "X-Evergreen-Channel" in error_of(wrong, 422).message


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"weight": 99}, "weight", "less than or equal to 50"),
        ({"carrier": "drone"}, "carrier", "'foot', 'bike' or 'van'"),
        ({"wieght": 1}, "wieght", "did you mean 'weight'?"),
        ({"weight": None}, "weight", "valid number"),
    ],
)
def test_the_field_and_the_reason_are_named(
    http: TestClient, changes: dict[str, Any], field: str, reason: str
) -> None:
    error = error_of(http.post("/predict", json={"data": row(**changes)}), 422)
    assert error.fields[0]["field"] == field
    assert reason in error.fields[0]["reason"]
    assert field in error.message
    batch = error_of(http.post("/predict_batch", json={"data": [row(), row(**changes)]}), 422)
    assert batch.fields[0]["field"] == f"data[1].{field}"


def test_a_missing_field_is_named(http: TestClient) -> None:
    data = row()
    del data["volume"]
    error = error_of(http.post("/predict", json={"data": data}), 422)
    assert error.fields == [{"field": "volume", "reason": "Field required"}]


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"parcel_id": "x"}, ["parcel_id"]),
        ({}, ["parcel_id"]),
        ([{"parcel_id": 1}, {"parcel_id": "x"}, {"id": 2}], ["data[1].parcel_id", "data[2].parcel_id"]),
        ([], ["data"]),
        ("x", ["data"]),
    ],
)
def test_faults_of_keys_have_the_names_of_fields(http: TestClient, data: Any, fields: list[str]) -> None:
    error = error_of(http.post("/predict_by_key", json={"data": data}), 422)
    assert [each["field"] for each in error.fields][: len(fields)] == fields
    assert "[limit" not in str(error)


def test_many_faults_are_bounded(http: TestClient) -> None:
    error = error_of(http.post("/predict_batch", json={"data": [row(weight=99)] * 300}), 422)
    assert len(error.fields) == 20
    assert "at least 19 more" in error.message


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", JSON, 422),
        (b"{", JSON, 400),
        (b"[]", JSON, 422),
        (b"null", JSON, 422),
        (b'"text"', JSON, 422),
        (b'{"data": 1}', JSON, 422),
        (b'{"data": {}}', JSON, 422),
        (b'{"data": [1, 2]}', JSON, 422),
        (b"\xff\xfe\x00", JSON, 400),
        (b'{"data": ' + b"[" * 100_000, JSON, 400),
        (b'{"data": ' + b"9" * 5000 + b"}", JSON, 400),
        (json.dumps({"data": row(temperature=float("nan"))}).encode(), JSON, 422),
        (json.dumps({"data": row(temperature=float("-inf"))}).encode(), JSON, 422),
        (json.dumps({"data": row()}).replace("11.5", "1e999").encode(), JSON, 422),
        (json.dumps({"data": row()}).replace('"north"', '"\\ud800"').encode(), JSON, 422),
        (json.dumps({"data": row()}).encode(), {"content-type": "text/plain"}, 400),
        (json.dumps({"data": row()}).encode(), {"content-type": "application/x-www-form-urlencoded"}, 400),
        (json.dumps({"data": row()}).encode(), {}, 400),
        (b"x" * 3_000_000, JSON, 413),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/predict_batch", "/predict_by_key", "/feedback"])
def test_no_body_makes_the_service_fail(
    http: TestClient, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    response = http.post(path, content=body, headers=headers)
    if path == "/predict":
        error_of(response, status)
    assert error_of(response, response.status_code).message
    assert 400 <= response.status_code < 500


def test_a_body_without_length_is_limited_too(http: TestClient) -> None:
    chunks = (b"x" * 100_000 for _ in range(30))
    error = error_of(http.post("/predict", content=chunks, headers=JSON), 413)
    assert "bytes" in error.message


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoChampion("no model is in service yet", hint="train"), 409),
        (KeyNotFound("no parcel 5"), 404),
        (StoreUnreachable("MariaDB is away"), 503),
        (RuntimeError("secret detail"), 500),
    ],
)
def test_errors_of_the_platform_have_their_status(
    http: TestClient, runtime: StandIn, error: Exception, status: int
) -> None:
    runtime.error = error
    for path, body in (("/predict", {"data": row()}), ("/predict_by_key", {"data": {"parcel_id": 5}})):
        answer = error_of(http.post(path, json=body), status)
        assert "secret detail" not in answer.message


def test_unknown_paths_and_methods(http: TestClient) -> None:
    wrong = http.get("/predict")
    error_of(wrong, 405)
    assert wrong.headers["allow"] == "POST"
    error_of(http.get("/nowhere"), 404)


def test_feedback(http: TestClient, runtime: StandIn) -> None:
    sent = {"prediction_id": "0190e1d2-0000-7000-8000-000000000000", "actual": "yes"}
    assert http.post("/feedback", json=sent).json()["recorded"] is True
    assert runtime.asked == [(sent["prediction_id"], "yes")]
    assert (
        error_of(http.post("/feedback", json={**sent, "actual": "perhaps"}), 422).fields[0]["field"]
        == "actual"
    )


def test_the_documentation_needs_no_internet_and_shows_every_feature(http: TestClient) -> None:
    for path in ("/", "/docs"):
        page = http.get(path).text
        assert "swagger-ui" in page
        assert "http://" not in page
        assert "https://" not in page
    made = http.get("/openapi.json").json()
    assert made == http.get("/docs.json").json()
    assert {
        "/predict",
        "/predict_batch",
        "/predict_by_key",
        "/explain",
        "/feedback",
        "/metadata",
        "/readyz",
    } <= set(made["paths"])
    fields = made["components"]["schemas"]["Row"]["properties"]
    assert fields["weight"]["description"] == "Weight in kilograms"
    assert made["components"]["schemas"]["Row"]["example"].keys() == row().keys()


def test_reading_the_metadata_keeps_no_other_request(
    http: TestClient, runtime: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of thousands of segments may be read for it, which the event loop does not wait for."""
    loops: list[object] = []

    def note_loop() -> dict[str, Any]:
        loops.append(asyncio._get_running_loop())
        return {"model_version": 3}

    monkeypatch.setattr(runtime, "metadata", note_loop)
    assert http.get("/metadata").json() == {"model_version": 3}
    assert loops == [None]


def test_lists_of_keys_that_wait_for_mariadb_keep_no_other_request(
    http: TestClient, runtime: StandIn
) -> None:
    runtime.hangs = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        body = {"data": [{"parcel_id": 5}, {"parcel_id": 6}]}
        answers.append(http.post("/predict_by_key", json=body).status_code)

    # More than the threads that an app shares among its requests.
    threads = [threading.Thread(target=ask) for _ in range(50)]
    try:
        for thread in threads:
            thread.start()
        # Each list is on its way to MariaDB, before another request may need a thread.
        eventually(lambda: runtime.listed == 50)
        assert http.post("/predict_batch", json={"data": [row()] * 3}).status_code == 200
        assert http.get("/metrics").status_code == 200
        assert answers == []
    finally:
        runtime.hangs.set()
        for thread in threads:
            thread.join()
    assert answers == [200] * 50
