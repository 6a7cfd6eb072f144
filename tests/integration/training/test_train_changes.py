"""Data that arrive, and champions that change, while a training is on its way."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient

from evergreen.errors import SettingsError
from evergreen.ingest.loading.load import load_parts as load_frames
from evergreen.loop import train
from evergreen.loop.deployment import promotion
from evergreen.registry import ledger
from evergreen.registry.champion import read_champion
from evergreen.registry.succession import aliases
from evergreen.store.connection.database import get_engine
from evergreen.store.history import recorded_set
from evergreen.store.history.training_set import read_training_set
from evergreen.store.records import training_run as runs
from evergreen.store.records.ingest_run import start_ingest
from evergreen.store.tables.retention import prune_history
from evergreen.training.tracking import training_runs, trials
from evergreen.usecases import load_use_case

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


class Killed(BaseException):
    """Like SIGKILL in this: no handler of the code under test sees it."""


@pytest.fixture
def arrive(toy_store, toy_use_case, toy_frames):
    """A function that loads rows of an earlier moment, which change the training set as of AS_OF."""

    def load(seed=8):
        run = start_ingest(get_engine(toy_store), toy_use_case, AS_OF - timedelta(days=1))
        load_frames(get_engine(toy_store), toy_use_case, run.id, toy_frames(700, seed=seed))

    return load


def assert_of_one_data_set(settings, training_run):
    """The run's row and its one MLflow run are of one data set, which can be read again."""
    row = runs.get_training_run(get_engine(settings), training_run)
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name("toy")
    found = client.search_runs([experiment.experiment_id])
    [run] = [each for each in found if trials.PARENT not in each.data.tags]
    assert {each.data.tags.get(trials.PARENT) for each in found} == {None, run.info.run_id}
    assert run.info.run_id == row.mlflow_run_id
    assert run.data.tags["evergreen.dataset_digest"] == row.dataset_digest
    [used] = run.inputs.dataset_inputs
    assert used.dataset.digest == row.dataset_digest[:36]
    source = json.loads(used.dataset.source)["tags"]
    assert json.loads(source["evergreen.query"]) == row.dataset_query
    assert source["evergreen.dataset_read_at"] == row.dataset_read_at.isoformat()
    again = recorded_set.reproduce_training_set(get_engine(settings), row.mlflow_run_id).to_json()
    assert (again["same"], again["rebuilt_rows"]) == (True, row.dataset_rows), again
    return row


def test_rows_that_arrive_between_two_steps_change_nothing(toy_store, arrive):
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)
    arrive()
    tuned = train.tune_model(toy_store, begun["training_run"])
    assert tuned["trials"] == 2
    arrive(seed=9)
    assert train.prepare_training_set(toy_store, "toy", AS_OF) == begun
    train.evaluate_candidate(toy_store, begun["training_run"])
    row = assert_of_one_data_set(toy_store, begun["training_run"])
    assert (row.dataset_digest, row.dataset_rows) == (begun["digest"], begun["rows"])
    now = read_training_set(get_engine(toy_store), load_use_case("toy", toy_store), AS_OF)
    assert now.digest != row.dataset_digest


def test_rows_changed_behind_the_stores_back_begin_the_run_anew(toy_store, caplog):
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)
    before = train.tune_model(toy_store, begun["training_run"])
    with get_engine(toy_store).begin() as connection:
        # Without their history, as a restored backup would be.
        connection.exec_driver_sql("ALTER TABLE toy__facts DROP SYSTEM VERSIONING")
        connection.exec_driver_sql("UPDATE toy__facts SET visits = visits + 1 WHERE client_id < 30")
        connection.exec_driver_sql("ALTER TABLE toy__facts ADD SYSTEM VERSIONING")
    with caplog.at_level(logging.WARNING):
        train.evaluate_candidate(toy_store, begun["training_run"])
    assert "beginning anew" in caplog.text
    assert train.tune_model(toy_store, begun["training_run"])["loss"] != before["loss"]
    row = assert_of_one_data_set(toy_store, begun["training_run"])
    assert row.dataset_digest != begun["digest"]


def test_a_run_whose_history_has_expired_begins_anew(toy_store, toy_use_case, arrive):
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)
    train.tune_model(toy_store, begun["training_run"])
    arrive()
    later = datetime.now(UTC) + timedelta(days=1, seconds=1)
    prune_history(get_engine(toy_store), toy_use_case, 1, later)
    train.evaluate_candidate(toy_store, begun["training_run"])
    row = runs.get_training_run(get_engine(toy_store), begun["training_run"])
    assert row.dataset_digest != begun["digest"]
    assert row.dataset_rows > begun["rows"]


def test_a_killed_evaluation_of_other_data_is_not_taken_over(toy_store, arrive, monkeypatch):
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    train.tune_model(toy_store, begun)
    real = training_runs.log_run

    def deadly(*args):
        real(*args)
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(training_runs, "log_run", deadly)
        with pytest.raises(Killed):
            train.evaluate_candidate(toy_store, begun)
    arrive()
    # As if the first rows could not be had again.
    runs.update_training_run(get_engine(toy_store), begun, dataset_read_at=None, dataset_digest="0" * 64)
    outcome = train.run_train(toy_store, "toy", AS_OF)
    assert outcome["promoted"] is True
    assert_of_one_data_set(toy_store, begun)


def test_a_version_that_never_became_champion_is_not_called_promoted(toy_store, monkeypatch):
    first = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    for step in (train.tune_model, train.evaluate_candidate, train.apply_gate, train.register_candidate):
        step(toy_store, first)

    def deadly(*_):
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(aliases, "set_champion", deadly)
        with pytest.raises(Killed):
            promotion.promote_candidate(toy_store, first)
    second = train.run_train(toy_store, "toy", AS_OF + timedelta(hours=1))
    assert second["promoted"] is True
    late = promotion.promote_candidate(toy_store, first)
    assert late["promoted"] is False
    assert "meanwhile v2 became champion" in late["reason"]
    assert promotion.promote_candidate(toy_store, first) == late
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == 2
    line = ledger.read_entries(get_engine(toy_store), "toy")[0]
    assert (line.action, line.to_version) == ("reject", 1)


def test_after_a_change_of_the_split_nobody_claims_unseen_rows(toy_store, monkeypatch):
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    monkeypatch.delitem(sys.modules, "evergreen_usecases_toy", raising=False)

    def declare(share):
        text = path.read_text().partition('    gate=Gate(metric="roc_auc"')[0]
        path.write_text(
            f'{text}    gate=Gate(metric="roc_auc", margin=-0.05, baseline_margin=-0.05),\n'
            f'    split="stratified",\n    holdout_share={share},\n)\n'
        )
        sys.modules.pop("evergreen_usecases_toy", None)

    declare(0.2)
    train.run_train(toy_store, "toy", AS_OF)
    same = train.run_train(toy_store, "toy", AS_OF + timedelta(hours=1))
    assert "its hold-out model, fitted without these rows" in same["gate"]["summary"]
    declare(0.31)
    changed = train.run_train(toy_store, "toy", AS_OF + timedelta(hours=2))
    assert "may have seen these rows: the split has changed" in changed["gate"]["summary"]
    sys.modules.pop("evergreen_usecases_toy", None)


def test_a_moment_in_the_future_is_refused(toy_store):
    with pytest.raises(SettingsError, match=r"2062-11-21.* is in the future"):
        train.prepare_training_set(toy_store, "toy", datetime(2062, 11, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Between("depth", 2, 4),', 'OneOf("depth", (2, 3)),'),
        ("iterations=60,", "iterations=30,"),
        ("drift=DriftPolicy(min_rows=100),", 'drift=DriftPolicy(min_rows=100), split="grouped",'),
    ],
    ids=["space", "iterations", "split"],
)
def test_a_declaration_changed_in_the_middle_of_a_search_begins_another(
    toy_store, monkeypatch, before, after
):
    path = Path(toy_store.use_cases) / "toy" / "__init__.py"
    monkeypatch.delitem(sys.modules, "evergreen_usecases_toy", raising=False)
    begun = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]

    def deadly(*_):
        raise Killed

    with pytest.raises(Killed):
        train.run_search_share(toy_store, begun, progress=deadly)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after).replace("    Between,", "    Between,\n    OneOf,"))
    sys.modules.pop("evergreen_usecases_toy", None)
    found = train.tune_model(toy_store, begun)
    assert found["trials"] == 2, "both of the new search; the old one's trial is not of it"
    assert found["params"]["iterations"] <= (30 if "30" in after else 60)
    if "OneOf" in after:
        assert found["params"]["depth"] in (2, 3)
    sys.modules.pop("evergreen_usecases_toy", None)
