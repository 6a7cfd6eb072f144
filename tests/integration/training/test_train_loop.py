"""The training loop on a real store and a real MLflow database."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import EmptyTrainingSet, ModelRefused, SignatureMismatch, TrainingError
from evergreen.ingest.loading.load import load_parts as load_frames
from evergreen.loop import train
from evergreen.loop.deployment import promotion
from evergreen.model import reference_profile
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.on_demand import add_on_demand_columns, build_columns_from_frame
from evergreen.model.predict import predict_inputs
from evergreen.registry import champion_history, ledger
from evergreen.registry.champion import read_champion
from evergreen.registry.models import load_model, load_run_model
from evergreen.registry.succession.erasure import delete_model_and_runs
from evergreen.registry.verification import load_recorded_model
from evergreen.store.connection.database import get_engine
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records import training_run
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.records.model_record import find_model_record
from evergreen.training.data.split import split_training_set
from evergreen.training.tracking.training_runs import build_holdout_path

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture
def client(toy_store):
    return MlflowClient(toy_store.mlflow_tracking_uri, toy_store.mlflow_tracking_uri)


def test_a_first_training_makes_a_champion_with_everything_that_belongs_to_it(
    toy_store, toy_use_case, client, caplog, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with caplog.at_level(logging.INFO, logger="evergreen"):
        outcome = train.run_train(toy_store, "toy", AS_OF, reason="first model")
    assert outcome["promoted"] is True
    assert outcome["version"] == 1
    assert json.loads(json.dumps(outcome)) == outcome
    assert any(message.startswith("trial 1 of 2") for message in caplog.messages)
    assert list(Path.cwd().iterdir()) == []

    database = get_engine(toy_store)
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == 1
    [line] = ledger.read_entries(database, "toy")
    assert (line.action, line.from_version, line.to_version) == ("promote", None, 1)
    assert line.at == found.promoted_at == champion_history.find_promotion_time(database, "toy", 1)
    assert line.reason == outcome["reason"]
    assert line.verdict.passed is True

    run = client.get_run(found.run_id)
    assert run.data.params["depth"]
    assert {"roc_auc", "roc_auc_low", "linear_roc_auc", "dummy_roc_auc", "holdout_rows"} <= set(
        run.data.metrics
    )
    assert run.data.tags["evergreen.training_run"] == outcome["training_run"]
    assert run.data.tags["evergreen.reason"] == "first model"
    [dataset] = run.inputs.dataset_inputs
    assert outcome["digest"].startswith(dataset.dataset.digest)
    files = {item.path for item in client.list_artifacts(found.run_id, "plots")}
    drawn = ("calibration", "curves", "holdout", "importance", "learning", "training")
    assert files == {f"plots/{name}.svg" for name in drawn}
    search = {item.path for item in client.list_artifacts(found.run_id, "search")}
    assert search == {"search/history.svg", "search/parameters.svg", "search/trials.json"}
    assert "model_card.html" in {item.path for item in client.list_artifacts(found.run_id)}
    version = client.get_model_version("toy", "1")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    stored = Path(model.artifact_location.removeprefix("file://"))
    assert (stored / "model.cb").exists()
    assert (stored / "input_example.json").exists()
    assert "spend_per_visit" in (stored / "MLmodel").read_text()
    assert not list(stored.rglob("*.pkl"))

    reference = reference_profile.load_reference_profile(database, "toy", 1)
    assert set(reference) == {*(f.name for f in toy_use_case.model_features), reference_profile.PREDICTION}
    assert sum(reference["age"].counts) == 600
    assert sum(reference[reference_profile.PREDICTION].counts) == 100


def test_the_logged_metrics_are_those_of_the_hold_out_model_and_the_champion_knows_all_rows(
    toy_store, toy_use_case
):
    outcome = train.run_train(toy_store, "toy", AS_OF)
    row = training_run.get_training_run(get_engine(toy_store), outcome["training_run"])
    found = read_training_set(get_engine(toy_store), toy_use_case, AS_OF, read_at=row.dataset_read_at)
    assert found.digest == row.dataset_digest
    frame = found.frame
    mask = split_training_set(toy_use_case, frame)[0].test
    columns = add_on_demand_columns(toy_use_case, build_columns_from_frame(frame[mask], toy_use_case))
    label = frame[mask]["leaves"].to_numpy(dtype=object)
    judged = load_run_model(toy_store, toy_use_case, 1, build_holdout_path(0))
    assert judged is not None
    again = compute_metrics(toy_use_case, label, predict_inputs(toy_use_case, judged.model, columns))
    assert again["roc_auc"] == pytest.approx(outcome["metrics"]["candidate"])
    full = load_model(toy_store, toy_use_case, 1)
    assert full.tags["evergreen.trained_until"] > full.tags["evergreen.holdout_trained_until"]
    assert not (
        predict_inputs(toy_use_case, full.model, columns).probabilities
        == predict_inputs(toy_use_case, judged.model, columns).probabilities
    ).all()


def test_a_version_is_on_record_with_rows_that_it_answers_as_it_did(toy_store, toy_use_case):
    outcome = train.run_train(toy_store, "toy", AS_OF)
    database = get_engine(toy_store)
    record = find_model_record(database, "toy", 1, outcome["mlflow_run"])
    assert record is not None
    loaded = load_recorded_model(toy_store, database, toy_use_case, 1)
    assert (record.digest, record.size_bytes) == (loaded.digest, loaded.size_bytes)
    inputs = [row.inputs for row in record.golden_rows.rows]
    assert len(inputs) == 20
    assert {"visits", "spend"} <= set(inputs[0])
    assert "client_id" not in inputs[0]


def test_a_file_that_was_replaced_before_it_was_registered_is_no_version_of_ours(toy_store, client):
    prepared = train.prepare_training_set(toy_store, "toy", AS_OF)
    train.tune_model(toy_store, prepared["training_run"])
    train.evaluate_candidate(toy_store, prepared["training_run"])
    train.apply_gate(toy_store, prepared["training_run"])
    (file,) = (toy_store.home / "mlflow-artifacts").rglob("artifacts/model.cb")
    right = file.read_bytes()
    holdout = next((toy_store.home / "mlflow-artifacts").rglob("fold_0.cb"))
    file.write_bytes(holdout.read_bytes())
    with pytest.raises(ModelRefused, match="is not the model that was evaluated"):
        train.register_candidate(toy_store, prepared["training_run"])
    assert read_champion(toy_store, "toy") is None
    file.write_bytes(right)
    assert train.register_candidate(toy_store, prepared["training_run"])["version"] == 1
    assert promotion.promote_candidate(toy_store, prepared["training_run"])["promoted"] is True


def test_training_twice_as_of_one_moment_is_training_once(toy_store, client):
    first = train.run_train(toy_store, "toy", AS_OF)
    assert train.run_train(toy_store, "toy", AS_OF, reason="again") == first
    assert len(client.search_model_versions("name = 'toy'")) == 1
    assert len(ledger.read_entries(get_engine(toy_store), "toy")) == 1


def test_the_next_candidate_is_compared_with_what_the_champion_was_before_it_saw_the_hold_out(toy_store):
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    text = path.read_text().replace("    RetrainPolicy,\n", "    RetrainPolicy,\n    Slice,\n")
    path.write_text(text.replace("retrain=RetrainPolicy(),", 'slices=(Slice("segment"),),'))
    first = train.run_train(toy_store, "toy", AS_OF)
    alone = training_run.get_training_run(get_engine(toy_store), first["training_run"]).metrics
    assert alone is not None
    assert (alone["champion_slices"], alone["champion_footprint"]) == (None, None)
    second = train.run_train(toy_store, "toy", AS_OF + timedelta(days=1))
    # The same rows and recipe: against the champion itself the candidate could only look worse.
    assert second["metrics"]["champion"] == pytest.approx(second["metrics"]["candidate"])
    found = training_run.get_training_run(get_engine(toy_store), second["training_run"]).metrics
    assert found is not None
    assert found["champion_slices"] == found["slices"]
    assert [each["feature"] for each in found["slices"]] == ["segment"]
    assert found["champion_footprint"]["size_bytes"] == found["size_bytes"]
    assert found["champion_footprint"]["latency_ms"] > 0
    assert "its hold-out model, fitted without these rows" in second["gate"]["summary"]


def test_a_champion_older_than_the_hold_out_takes_part_itself(toy_store, toy_use_case, toy_frames):
    train.run_train(toy_store, "toy", AS_OF)
    later = AS_OF + timedelta(days=130)
    run = start_ingest(get_engine(toy_store), toy_use_case, later)
    load_frames(get_engine(toy_store), toy_use_case, run.id, toy_frames(600, seed=2, start="2026-05-01"))
    second = train.run_train(toy_store, "toy", later)
    assert second["rows"] == 1000  # two of the months came again, corrected
    assert "all hold-out rows are newer than its training" in second["gate"]["summary"]


def strict(toy_store, **gate):
    """Change the gate in the toy's own folder, as its owner would."""
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    arguments = ", ".join(f"{name}={value!r}" for name, value in gate.items())
    text = path.read_text().replace(
        'Gate(metric="roc_auc", margin=-0.05, baseline_margin=-0.05)', f"Gate({arguments})"
    )
    path.write_text(text)


def test_a_rejected_candidate_is_registered_with_its_reasons_and_the_champion_stays(toy_store, client):
    train.run_train(toy_store, "toy", AS_OF)
    strict(toy_store, metric="roc_auc", margin=0.05)
    forget_module()
    outcome = train.run_train(toy_store, "toy", AS_OF + timedelta(days=1))
    assert outcome["promoted"] is False
    assert outcome["reason"].startswith("rejected: roc_auc")
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == 1
    newest = ledger.read_entries(get_engine(toy_store), "toy")[0]
    assert (newest.action, newest.from_version, newest.to_version) == ("reject", 1, 2)
    tags = client.get_model_version("toy", "2").tags
    assert tags["evergreen.passed"] == "false"
    assert tags["evergreen.verdict"] == outcome["reason"]
    assert training_run.get_training_run(get_engine(toy_store), outcome["training_run"]).status == "rejected"


def forget_module():
    import sys

    sys.modules.pop("evergreen_usecases_toy", None)


@pytest.fixture(autouse=True)
def _fresh_declaration():
    forget_module()
    yield
    forget_module()


def test_a_champion_that_no_longer_fits_leaves_the_baseline_as_the_rival(toy_store, toy_use_case):
    train.run_train(toy_store, "toy", AS_OF)
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    path.write_text(path.read_text().replace("on_demand=(OnDemandFeature(spend_per_visit),),", ""))
    forget_module()
    outcome = train.run_train(toy_store, "toy", AS_OF + timedelta(days=1))
    assert outcome["metrics"]["champion"] is None
    assert "does not fit the declaration any more" in outcome["gate"]["summary"]
    assert outcome["promoted"] is True
    assert ledger.read_entries(get_engine(toy_store), "toy")[0].from_version == 1
    with pytest.raises(SignatureMismatch, match="does not know spend_per_visit"):
        load_model(toy_store, toy_use_case, 2)


def test_nothing_to_learn_from_and_a_wrong_gate_are_said_at_once(toy_store):
    with pytest.raises(EmptyTrainingSet):
        train.prepare_training_set(toy_store, "toy", datetime(2025, 1, 1, tzinfo=UTC))
    strict(toy_store, metric="rocauc")
    forget_module()
    with pytest.raises(TrainingError, match="'rocauc'"):
        train.prepare_training_set(toy_store, "toy", AS_OF)


def test_steps_out_of_order_and_unknown_runs_are_refused(toy_store):
    with pytest.raises(TrainingError, match="no training run 'nonsense'"):
        train.tune_model(toy_store, "nonsense")
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    for step, missing in (
        (train.evaluate_candidate, "tune"),
        (train.apply_gate, "evaluate"),
        (train.register_candidate, "gate"),
    ):
        with pytest.raises(TrainingError, match=f"its step '{missing}'"):
            step(toy_store, begun)
    with pytest.raises(TrainingError, match="its step 'register'"):
        promotion.promote_candidate(toy_store, begun)


def test_forgetting_a_model_lets_the_same_training_begin_anew(toy_store, client):
    first = train.run_train(toy_store, "toy", AS_OF)
    delete_model_and_runs(toy_store, "toy")
    assert read_champion(toy_store, "toy") is None
    delete_model_and_runs(toy_store, "toy")
    training_run.update_training_run(
        get_engine(toy_store), first["training_run"], mlflow_run_id=None, model_version=None, status="tuned"
    )
    second = train.run_train(toy_store, "toy", AS_OF)
    assert second["version"] == 1
    assert second["mlflow_run"] != first["mlflow_run"]


def test_no_usage_is_reported_to_anybody(toy_store, monkeypatch):
    # Earlier tests of this process have set them already.
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)
    read_champion(toy_store, "toy")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"
