"""The real service over HTTP, on a real MariaDB and MLflow store: answers, refusals, log, documentation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from evergreen.errors import KeyNotFound, NoChampion, ServingError
from evergreen.model.on_demand import build_columns_from_rows
from evergreen.model.predict import explain_prediction, predict_rows
from evergreen.registry.models import load_model
from evergreen.serving.channels import PROBE_CHANNEL
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.prediction_log import read_predictions
from support.parcel_case import row
from support.serving_world import PARCELS, Service, World, running
from support.waiting import eventually

pytestmark = pytest.mark.usefixtures("first_champion")


def test_answers_are_the_models_own_and_sent_is_answered_is_logged(made: World, service: Service) -> None:
    service.settle(made.versions[0])
    eventually(service.drained)
    before, began = made.logged(), datetime.now(UTC)
    rows = made.rows(60, seed=21)
    with service.client() as client:
        single = [client.predict(r) for r in rows[:20]]
        batch = client.predict_batch(rows[20:])
    answers = [*single, *batch]
    model = load_model(made.settings, made.use_case, made.versions[0])
    own = predict_rows(made.use_case, model, build_columns_from_rows(made.use_case, rows))
    for sent, answer, expected in zip(rows, answers, own.list_answers(), strict=True):
        assert answer["prediction"] == expected.prediction
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-12)
        assert answer["probability"] == max(answer["probabilities"].values())
        assert (answer["parcel_id"], answer["model_version"]) == (sent["parcel_id"], made.versions[0])
    eventually(lambda: made.logged() == before + 60)
    frame = read_predictions(get_engine(made.settings), made.use_case, began, datetime.now(UTC))
    logged = frame.set_index("prediction_id")
    for sent, answer in zip(rows, answers, strict=True):
        stored = logged.loc[answer["prediction_id"]]
        assert stored["prediction"] == answer["prediction"]
        assert stored["probability"] == answer["probability"]
        assert stored["probabilities"] == answer["probabilities"]
        assert stored["parcel_id"] == sent["parcel_id"]
        for name in ("weight", "volume", "stops", "carrier", "depot", "temperature", "note"):
            missing = stored[name] is None or stored[name] != stored[name]
            assert missing if sent[name] is None else stored[name] == sent[name]


def test_checks_do_not_count_as_traffic(made: World, service: Service) -> None:
    eventually(service.drained)
    online, probes = made.logged(), made.logged(PROBE_CHANNEL)
    with service.client(channel="canary") as client:
        client.predict(row())
    eventually(lambda: made.logged(PROBE_CHANNEL) == probes + 1)
    assert made.logged() == online


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (json.dumps({"data": row(weight=99)}), "weight"),
        (json.dumps({"data": row(carrier="drone")}), "carrier"),
        (json.dumps({"data": {k: v for k, v in row().items() if k != "volume"}}), "volume"),
        (json.dumps({"data": row(colour="red")}), "colour"),
        (json.dumps({"data": row(temperature=float("nan"))}), "temperature"),
        ('{"data": ', "body"),
        ("", "body"),
        ('{"data": ' + "[" * 50_000, "body"),
    ],
)
def test_a_bad_body_is_refused_with_its_field(service: Service, body: str, field: str) -> None:
    response = httpx.post(
        f"{service.url}/predict", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code in (400, 422)
    error = response.json()["error"]
    assert error["fields"][0]["field"] == field
    assert error["fields"][0]["reason"]
    assert "Traceback" not in response.text


def test_a_body_too_large_is_refused(service: Service) -> None:
    body = b'{"data": "' + b"x" * 3_000_000 + b'"}'
    response = httpx.post(
        f"{service.url}/predict", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 413
    assert "bytes" in response.json()["error"]["message"]


def test_by_key_uses_the_online_store(made: World, service: Service) -> None:
    with service.client() as client:
        answer = client.predict_by_key({"parcel_id": 17})
        assert answer["parcel_id"] == 17
        stored = {**made.rows(PARCELS, seed=11)[16], "parcel_id": 17}
        assert client.predict(stored)["probabilities"] == answer["probabilities"]
        with pytest.raises(KeyNotFound, match="parcel_id=999999"):
            client.predict_by_key({"parcel_id": 999_999})
    several = httpx.post(
        f"{service.url}/predict_by_key", json={"data": [{"parcel_id": n} for n in (3, 1, 2)]}
    )
    assert [a["parcel_id"] for a in several.json()["predictions"]] == [3, 1, 2]
    partly = httpx.post(f"{service.url}/predict_by_key", json={"data": [{"parcel_id": n} for n in (1, -5)]})
    assert partly.status_code == 404
    assert "parcel_id=-5" in partly.json()["error"]["message"]


def test_the_last_feedback_counts_also_for_a_prediction_on_its_way(made: World, service: Service) -> None:
    began = datetime.now(UTC)
    with service.client() as client:
        answer = client.predict(row(parcel_id=4711))
        assert client.feedback(answer["prediction_id"], "yes")["recorded"] is True
        assert client.feedback(answer["prediction_id"], "no")["recorded"] is True
        # Nobody was given it: an orphan, which the monitor counts.
        assert client.feedback("0190e1d2-0000-7000-8000-000000000000", "yes")["recorded"] is True
        for beyond in ("ffffffff-ffff-7000-8000-000000000000", "7b2e1f6a-8a5c-4c1e-9e55-0a4c1d6f7e21"):
            with pytest.raises(ServingError, match="not a prediction id"):
                client.feedback(beyond, "yes")
    eventually(service.drained)
    frame = read_predictions(get_engine(made.settings), made.use_case, began, datetime.now(UTC))
    stored = frame.set_index("prediction_id").loc[answer["prediction_id"]]
    assert stored["actual"] == "no"
    # What the model saw, computed features included.
    assert (stored["density"], stored["heavy"]) == (row()["weight"] / row()["volume"], None)


def test_explanations_add_up(made: World, service: Service) -> None:
    service.settle(made.versions[0])
    with service.client() as client:
        told = client.explain(row())
    model = load_model(made.settings, made.use_case, made.versions[0])
    assert told["contributions"].keys() == set(model.feature_names)
    columns = build_columns_from_rows(made.use_case, [row()])
    assert told["contributions"] == pytest.approx(
        explain_prediction(made.use_case, model, columns).contributions
    )
    (own,) = predict_rows(made.use_case, model, columns).list_answers()
    score = told["base_value"] + sum(told["contributions"].values())
    assert 1 / (1 + 2.718281828459045**-score) == pytest.approx(own.probability, abs=1e-6)


def test_metadata_documentation_and_metrics(made: World, service: Service) -> None:
    service.settle(made.versions[0])
    with service.client() as client:
        client.predict(row())
        told = client.metadata()
    assert told["use_case"] == "parcel"
    assert told["promoted_at"].startswith("2026-06-01")
    assert told["run_id"]
    assert told["loaded_at"] >= told["started_at"]
    assert told["classes"] == ["no", "yes"]
    assert told["log"]["refused"] == told["log"]["dropped"] == 0
    assert told["trouble"] == ""
    for path in ("/", "/docs", "/openapi.json", "/static_content/swagger-ui-bundle.js", "/healthz", "/livez"):
        assert httpx.get(f"{service.url}{path}").status_code == 200, path
    metrics = httpx.get(f"{service.url}/metrics").text
    for name in (
        'evergreen_predictions_total{channel="online"',
        "evergreen_model_swaps_total",
        "evergreen_prediction_log_accepted",
        "evergreen_prediction_log_spooled",
        'evergreen_prediction_log_refused{use_case="parcel"} 0.0',
        "evergreen_requests_total",
        "evergreen_request_seconds_bucket",
    ):
        assert name in metrics, name


def test_without_a_champion_the_service_is_up_but_not_ready(made: World, tmp_path: Path) -> None:
    with running(made, tmp_path, use_case_name="titanic", ready=False) as service, service.client() as client:
        assert httpx.get(f"{service.url}/livez").status_code == 200
        assert httpx.get(f"{service.url}/readyz").status_code == 503
        eventually(lambda: "no champion" in client.metadata()["trouble"])
        assert client.metadata()["model_version"] is None
        response = httpx.post(f"{service.url}/predict", json={"data": made_passenger()})
        assert response.status_code == 409
        assert response.json()["error"]["type"] == "NoChampion"
        with pytest.raises(NoChampion, match="no champion"):
            client.predict(made_passenger())


def made_passenger() -> dict[str, object]:
    return {
        "pclass": 3,
        "name": "Doe, Mr. John",
        "sex": "male",
        "sibsp": 0,
        "parch": 0,
        "ticket": "1",
        "fare": 7.5,
    }


def test_an_unknown_use_case_stops_the_start_in_words(made: World, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="there is no use case 'parcle'"),
        running(made, tmp_path, use_case_name="parcle"),
    ):
        pass
    assert "did you mean 'parcel'?" in (tmp_path / "service.log").read_text()
    assert "Traceback" not in (tmp_path / "service.log").read_text()
