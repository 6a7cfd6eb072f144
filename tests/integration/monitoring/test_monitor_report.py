"""The report of a check on a real store and a real MLflow: kept, attached, found again, linked."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from evergreen.errors import SettingsError, StoreError
from evergreen.loop import monitor, train
from evergreen.loop.monitoring import check_report
from evergreen.monitoring.report.document import CheckReport
from evergreen.registry import champion_history
from evergreen.registry.connection import create_mlflow_client
from evergreen.registry.experiments.check_runs import name_monitoring_experiment
from evergreen.registry.succession.erasure import delete_model_and_runs
from evergreen.stack.processes.ports import find_free_port
from evergreen.store.connection.database import get_engine
from evergreen.store.predictions.insert import insert_predictions
from evergreen.store.predictions.prediction_row import PredictionRow
from evergreen.store.records.checks.check_report import list_unattached_reports

TRAINED_AS_OF = datetime(2026, 7, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def start(toy_store):
    """When the champion was promoted."""
    train.run_train(toy_store, "toy", TRAINED_AS_OF)
    at = champion_history.find_promotion_time(get_engine(toy_store), "toy", 1)
    assert at is not None
    return at


@pytest.fixture
def log_predictions(toy_store, toy_use_case, toy_frames):
    def log(count, at, shift, seed):
        facts = toy_frames(count, seed=seed, shift=shift)["facts"].drop(columns="event_time")
        rows = [
            PredictionRow.from_json(
                {name: None if value != value else value for name, value in row.items()}
                | {
                    "_on_demand": compute_on_demand(row),
                    "prediction_id": str(build_id(at)),
                    "predicted_at": at,
                    "model_version": 1,
                    "channel": "online",
                    "prediction": "no",
                    "probability": 0.8,
                    "probabilities": {"no": 0.8, "yes": 0.2},
                }
            )
            for row in facts.to_dict("records")
        ]
        assert insert_predictions(get_engine(toy_store), toy_use_case, rows) == count

    return log


def compute_on_demand(row):
    """What a service logs beside the inputs."""
    share = row["spend"] / max(row["visits"], 1.0)
    return {"spend_per_visit": None if share != share else share}


def build_id(at):
    """A UUIDv7 (RFC 9562) of that millisecond."""
    noise = (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return uuid.UUID(int=(int(at.timestamp() * 1000) << 80) | (0x7 << 76) | noise)


def list_check_runs(settings):
    client = create_mlflow_client(settings)
    experiment = client.get_experiment_by_name(name_monitoring_experiment("toy"))
    return client, experiment, client.search_runs([experiment.experiment_id])


def test_checks_are_kept_and_attached_to_a_run_each(toy_store, start, log_predictions):
    log_predictions(300, start + MINUTE, 0.0, 1)
    monitor.run_monitor(toy_store, "toy", start + 2 * MINUTE)
    log_predictions(300, start + 3 * MINUTE, 2.0, 2)
    outcome = monitor.run_monitor(toy_store, "toy", start + 4 * MINUTE)

    kept = check_report.find_kept_report(toy_store, "toy")
    report = kept.read_document()
    assert (report.as_of, report.severity, report.rows) == (start + 4 * MINUTE, "drift", 300)
    assert report.check == outcome["drift"]["drift_report"]
    assert [each.severity for each in report.checks] == ["warning", "drift"]
    assert report.decision is not None
    assert (report.decision.retrain, report.decision.reason) == (outcome["retrain"], outcome["reason"])
    assert {"visits", "spend"} <= {feature.feature for feature in report.drifted_features}
    assert report.drifted_features[0].edges
    assert sum(report.drifted_features[0].current) == 300
    assert kept.page.startswith("<!doctype html>")

    client, experiment, runs = list_check_runs(toy_store)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    by_check = {run.data.tags["evergreen.check"]: run for run in runs}
    assert len(runs) == 2
    run = by_check[report.check]
    assert run.info.status == "FINISHED"
    assert run.data.tags["evergreen.severity"] == "drift"
    assert run.data.tags["evergreen.reason"] == outcome["reason"]
    assert run.data.metrics["severity"] == 2.0
    assert run.data.metrics["psi.visits"] == next(
        each.psi for each in report.features if each.feature == "visits"
    )
    path = client.download_artifacts(run.info.run_id, "report.json")
    logged = json.loads(Path(path).read_text(encoding="utf-8"))
    assert CheckReport.from_json(logged) == report
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"report.html", "report.json"}

    # A rerun makes no second run, and an older check is found by its moment.
    monitor.run_monitor(toy_store, "toy", start + 4 * MINUTE)
    assert len(list_check_runs(toy_store)[2]) == 2
    older = check_report.find_kept_report(toy_store, "toy", start + 3 * MINUTE)
    assert older.as_of == start + 2 * MINUTE

    delete_model_and_runs(toy_store, "toy")
    assert list_check_runs(toy_store)[2] == []


def test_without_mlflow_the_report_is_kept_and_attached_later(toy_store, start, log_predictions):
    log_predictions(200, start + MINUTE, 0.0, 1)
    for step in (monitor.measure_drift, monitor.measure_quality, monitor.decide_retraining):
        step(toy_store, "toy", start + 2 * MINUTE)
    away = toy_store.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{find_free_port()}"})
    published = check_report.publish_report(away, "toy", start + 2 * MINUTE)
    assert published["address"] == ""
    assert "is not in MLflow yet, a later check attaches it: " in published["notes"][0]
    assert "does not answer" in published["notes"][0]
    assert published["command"] == f"evergreen report toy --as-of {(start + 2 * MINUTE).isoformat()}"
    assert "features drifted" in check_report.find_kept_report(away, "toy").page

    database = get_engine(toy_store)
    assert len(list_unattached_reports(database, "toy", 10)) == 1
    monitor.run_monitor(toy_store, "toy", start + 3 * MINUTE)
    assert list_unattached_reports(database, "toy", 10) == []
    assert len(list_check_runs(toy_store)[2]) == 2


def test_a_report_is_saved_as_a_page_or_a_document(toy_store, start, log_predictions, tmp_path):
    with pytest.raises(StoreError, match="toy has no monitoring report yet"):
        check_report.find_kept_report(toy_store, "toy")
    with pytest.raises(StoreError, match="toy has no check as of"):
        check_report.publish_report(toy_store, "toy", start)
    outcome = monitor.run_monitor(toy_store, "toy", start + MINUTE)  # without a single prediction
    assert outcome["report"].startswith("evergreen report toy --as-of ")
    kept = check_report.find_kept_report(toy_store, "toy")
    assert kept.severity == "unknown"
    check_report.save_report_file(kept, tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert document["rows"] == 0
    page = check_report.save_page_in_home(toy_store, "toy", kept)
    assert "No verdict" in page.read_text(encoding="utf-8")
    with pytest.raises(SettingsError, match="neither a page nor a document"):
        check_report.save_report_file(kept, tmp_path / "report.pdf")
    with pytest.raises(SettingsError, match="cannot be written"):
        check_report.save_report_file(kept, tmp_path / "nowhere" / "report.html")
    with get_engine(toy_store).connect() as connection:
        assert connection.execute(sa.text("SELECT COUNT(*) FROM check_report")).scalar() == 1
