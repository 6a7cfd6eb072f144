"""A training that is killed between any two side effects and run again ends as one clean run would.

The kill is an exception that nothing catches, raised before or after each call that changes something.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient

from evergreen.loop import train
from evergreen.loop.deployment import promotion
from evergreen.model import reference_profile
from evergreen.registry import ledger, models, versions
from evergreen.registry.champion import read_champion
from evergreen.registry.lock import lock_use_case
from evergreen.registry.succession import aliases
from evergreen.store.connection.database import get_engine
from evergreen.store.records import model_record, training_run
from evergreen.training.tracking import training_runs, trials

AS_OF = datetime(2026, 7, 1, tzinfo=UTC)


class Killed(BaseException):
    """Like SIGKILL in this: no handler of the code under test sees it."""


SIDE_EFFECTS = [
    (training_runs, "begin_run"),
    (trials, "log_trials"),
    (training_runs, "_build_dataset"),
    (training_runs, "_log_files"),
    (training_runs, "_log_model"),
    (training_runs, "log_run"),
    (models, "_ensure_registered_model"),
    (models, "register_model_version"),
    (model_record, "save_model_record"),
    (training_runs, "write_page"),
    (aliases, "set_challenger"),
    (reference_profile, "save_reference_profile"),
    (ledger, "append_entry"),
    (aliases, "set_champion"),
    (versions, "tag_version"),
    (aliases, "remove_challenger"),
    (training_run, "update_training_run"),
]


def kill(monkeypatch, module, name, *, after, call=1):
    """Kill the process at the `call`-th call of that function, before or after it did its work."""
    real = getattr(module, name)
    calls = []

    def deadly(*args, **kwargs):
        calls.append(name)
        if len(calls) != call:
            return real(*args, **kwargs)
        if after:
            real(*args, **kwargs)
        raise Killed(name)

    monkeypatch.setattr(module, name, deadly)


def assert_one_clean_training(settings, outcome):
    client = MlflowClient(settings.mlflow_tracking_uri, settings.mlflow_tracking_uri)
    database = get_engine(settings)
    assert outcome["promoted"] is True
    assert outcome["version"] == 1
    [version] = client.search_model_versions("name = 'toy'")
    experiment = client.get_experiment_by_name("toy")
    found_runs = client.search_runs([experiment.experiment_id])
    [run] = [each for each in found_runs if trials.PARENT not in each.data.tags]
    nested = [each for each in found_runs if each.data.tags.get(trials.PARENT) == run.info.run_id]
    assert sorted(each.data.tags[trials.TRIAL] for each in nested) == ["0", "1"]
    assert len(nested) == len(found_runs) - 1
    assert len(client.search_logged_models([experiment.experiment_id])) == 1
    assert set(client.get_registered_model("toy").aliases) == {"champion"}
    assert run.info.status == "FINISHED"
    assert version.run_id == run.info.run_id == outcome["mlflow_run"]
    found = read_champion(settings, "toy")
    assert found is not None
    [line] = ledger.read_entries(database, "toy")
    assert (line.action, line.from_version, line.to_version) == ("promote", None, 1)
    assert (found.version, found.promoted_at) == (1, line.at)
    assert len(reference_profile.load_reference_profile(database, "toy", 1)) == 7
    record = model_record.find_model_record(database, "toy", 1, run.info.run_id)
    row = training_run.get_training_run(database, outcome["training_run"])
    assert record is not None
    assert record.digest == row.metrics["model_digest"]
    assert (row.status, row.model_version, row.mlflow_run_id) == ("promoted", 1, run.info.run_id)
    assert row.finished_at is not None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("module", "name"), SIDE_EFFECTS, ids=lambda part: getattr(part, "__name__", part))
def test_a_kill_and_a_rerun_are_one_training(toy_store, monkeypatch, module, name, after):
    with monkeypatch.context() as fault:
        kill(fault, module, name, after=after)
        with pytest.raises(Killed):
            train.run_train(toy_store, "toy", AS_OF)
    assert_one_clean_training(toy_store, train.run_train(toy_store, "toy", AS_OF))


@pytest.mark.parametrize("call", range(2, 7))
def test_a_kill_after_each_change_of_the_runs_own_row(toy_store, monkeypatch, call):
    with monkeypatch.context() as fault:
        kill(fault, training_run, "update_training_run", after=False, call=call)
        with pytest.raises(Killed):
            train.run_train(toy_store, "toy", AS_OF)
    assert_one_clean_training(toy_store, train.run_train(toy_store, "toy", AS_OF))


def test_a_verdict_does_not_hold_against_a_champion_who_came_meanwhile(toy_store):
    slow = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    for step in (train.tune_model, train.evaluate_candidate, train.apply_gate, train.register_candidate):
        step(toy_store, slow)
    quick = train.run_train(toy_store, "toy", AS_OF + timedelta(hours=1))
    assert quick["promoted"] is True
    late = promotion.promote_candidate(toy_store, slow)
    assert late["promoted"] is False
    assert "compared with the baseline, and meanwhile v2 became champion" in late["reason"]
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == quick["version"]
    assert promotion.promote_candidate(toy_store, slow) == late


def test_a_champion_replaced_before_the_rerun_stays_replaced(toy_store, monkeypatch):
    first = train.prepare_training_set(toy_store, "toy", AS_OF)["training_run"]
    for step in (train.tune_model, train.evaluate_candidate, train.apply_gate, train.register_candidate):
        step(toy_store, first)
    with monkeypatch.context() as fault:
        kill(fault, aliases, "set_champion", after=True)
        with pytest.raises(Killed):
            promotion.promote_candidate(toy_store, first)
    second = train.run_train(toy_store, "toy", AS_OF + timedelta(hours=1))
    assert second["promoted"] is True
    assert promotion.promote_candidate(toy_store, first)["promoted"] is True
    found = read_champion(toy_store, "toy")
    assert found is not None
    assert found.version == 2
    assert [line.action for line in ledger.read_entries(get_engine(toy_store), "toy")] == [
        "promote",
        "promote",
    ]


def test_trainings_of_one_use_case_wait_for_each_other_and_others_do_not(toy_store):
    database = get_engine(toy_store)
    inside, order = threading.Event(), []

    def other():
        with lock_use_case(database, "toy"):
            order.append("other")

    with lock_use_case(database, "toy"):
        waiting = threading.Thread(target=other)
        waiting.start()
        with lock_use_case(database, "another_use_case_with_quite_a_long_name_indeed"):
            inside.wait(0.3)
        order.append("first")
    waiting.join(10)
    assert order == ["first", "other"]
