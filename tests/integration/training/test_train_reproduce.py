"""The same model again: byte by byte, after whatever came since; and a difference is told."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import StoreError, TrainingError
from evergreen.ingest.loading.load import load_parts as load_frames
from evergreen.loop import train
from evergreen.loop.reproduce import reproduce_training
from evergreen.store.connection.database import get_engine
from evergreen.store.records.ingest_run import start_ingest
from evergreen.training.tracking.training_runs import build_holdout_path

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _fresh_declaration():
    sys.modules.pop("evergreen_usecases_toy", None)
    yield
    sys.modules.pop("evergreen_usecases_toy", None)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_runs_models_are_fitted_again_byte_by_byte(toy_store, toy_use_case, toy_frames):
    outcome = train.run_train(toy_store, "toy", AS_OF)
    run = start_ingest(get_engine(toy_store), toy_use_case, AS_OF)
    load_frames(get_engine(toy_store), toy_use_case, run.id, toy_frames(700, seed=8))
    for run_id in (outcome["training_run"], outcome["mlflow_run"][:12]):
        found = reproduce_training(toy_store, run_id)
        assert found["same"] is True, found
        assert found["rebuilt_dataset_digest"] == outcome["digest"]
        assert found["model_version"] == 1
    client = MlflowClient(toy_store.mlflow_tracking_uri, toy_store.mlflow_tracking_uri)
    version = client.get_model_version("toy", "1")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    registered = Path(model.artifact_location.removeprefix("file://")) / "model.cb"
    held_out = client.download_artifacts(version.run_id, build_holdout_path(0), str(toy_store.home))
    assert sha256(registered) == found["model_digest"] == version.tags["evergreen.model_digest"]
    assert [sha256(Path(held_out))] == found["holdout_digests"]
    assert version.tags["evergreen.code_version"] == found["code_version"]
    assert len(client.search_model_versions("name = 'toy'")) == 1, "nothing was registered"


def test_more_threads_change_no_byte(toy_store):
    outcome = train.run_train(toy_store, "toy", AS_OF)
    assert (
        reproduce_training(toy_store.model_copy(update={"threads": 2}), outcome["training_run"])["same"]
        is True
    )


def test_another_declaration_gives_another_model_and_says_so(toy_store):
    outcome = train.run_train(toy_store, "toy", AS_OF)
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    path.write_text(path.read_text().replace("tuning=Tuning(trials=2,", "tuning=Tuning(seed=8, trials=2,"))
    sys.modules.pop("evergreen_usecases_toy", None)
    found = reproduce_training(toy_store, outcome["training_run"])
    assert found["same"] is False
    assert "another model" in found["reason"]
    assert found["rebuilt_dataset_digest"] == found["dataset_digest"]


def test_unknown_and_unfinished_runs_are_named(toy_store):
    with pytest.raises(StoreError, match="there is no training run 'nonsense'"):
        reproduce_training(toy_store, "nonsense")
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    with pytest.raises(TrainingError, match="it has no model yet"):
        reproduce_training(toy_store, begun)
