"""The trials of a search as nested MLflow runs: each once, and whole."""

from __future__ import annotations

import shutil

import pytest

from evergreen.errors import RegistryUnreachable
from evergreen.registry.connection import create_mlflow_client
from evergreen.settings import Settings
from evergreen.training.search.trial import LossCurve, Trial
from evergreen.training.tracking import training_runs, trials
from evergreen.training.tracking.trials import log_trials
from support.toy_training import mlflow_runs


@pytest.fixture
def settings(tmp_path, empty_mlflow):
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    return Settings(home=tmp_path, mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def parent(settings):
    return training_runs.begin_run(settings, "toy", "a-training", "a-digest", "toy")


def trial(number, state="complete", loss=0.5, worker=0):
    curve = LossCurve([1, 2], [0.6, 0.4], [0.7, loss or 0.6])
    return Trial(number, worker, state, {"depth": number}, 2, loss, 0.25, 1_000.0 + number, None, curve)


ENDED = [
    trial(0, loss=0.5),
    trial(1, "pruned", 0.9),
    trial(2, loss=0.6),
    trial(3, "failed", None),
    trial(4, loss=0.4),
]


def by_number(settings):
    return {int(run.data.tags[trials.TRIAL]): run for run in mlflow_runs(settings)[1]}


def history(settings, run, metric):
    return [
        (each.step, each.value) for each in create_mlflow_client(settings).get_metric_history(run, metric)
    ]


def test_each_trial_is_a_run_that_says_how_it_ended(settings, parent):
    assert log_trials(settings, parent, ENDED) == {0, 1, 2, 3, 4}
    found = by_number(settings)
    ends = {number: run.info.status for number, run in sorted(found.items())}
    assert ends == {0: "FINISHED", 1: "KILLED", 2: "FINISHED", 3: "FAILED", 4: "FINISHED"}
    assert {run.data.tags[trials.PARENT] for run in found.values()} == {parent}
    assert (found[4].data.params, found[4].data.metrics["loss"]) == ({"depth": "4"}, 0.4)
    assert found[4].info.end_time - found[4].info.start_time == 250
    assert history(settings, found[4].info.run_id, "validation_loss") == [(1, 0.7), (2, 0.4)]


def test_the_parent_has_the_losses_and_the_least_so_far_by_trial(settings, parent):
    log_trials(settings, parent, ENDED)
    assert history(settings, parent, "search_loss") == [(0, 0.5), (2, 0.6), (4, 0.4)]
    assert history(settings, parent, "search_least_loss") == [(0, 0.5), (2, 0.5), (4, 0.4)]


def test_showing_again_adds_what_is_new_and_nothing_else(settings, parent):
    known = log_trials(settings, parent, ENDED[:2])
    before = {number: run.info.run_id for number, run in by_number(settings).items()}
    assert (
        log_trials(settings, parent, ENDED, known) == log_trials(settings, parent, ENDED) == {0, 1, 2, 3, 4}
    )
    after = {number: run.info.run_id for number, run in by_number(settings).items()}
    assert len(mlflow_runs(settings)[1]) == 5
    assert {number: after[number] for number in before} == before
    assert len(history(settings, parent, "search_loss")) == 3


def test_a_worker_shows_its_own_trials_only(settings, parent):
    both = [trial(0), trial(1, worker=1, loss=0.3), trial(2, loss=0.4)]
    assert log_trials(settings, parent, both, worker=0) == {0, 2}
    assert history(settings, parent, "search_least_loss") == [(0, 0.5), (2, 0.3)]
    assert log_trials(settings, parent, both, worker=1) == {0, 1, 2}
    assert len(mlflow_runs(settings)[1]) == 3


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_run_that_was_left_half_made_is_made_anew(settings, parent, monkeypatch, call, after):
    client = type(create_mlflow_client(settings))
    real, calls = getattr(client, call), []

    def gone(*args, **kwargs):
        calls.append(call)
        if after:
            real(*args, **kwargs)
        raise RegistryUnreachable("MLflow does not answer")

    with monkeypatch.context() as fault:
        fault.setattr(client, call, gone)
        with pytest.raises(RegistryUnreachable):
            log_trials(settings, parent, ENDED)
    log_trials(settings, parent, ENDED)
    assert calls == [call]
    assert len(mlflow_runs(settings)[1]) == 5
    assert by_number(settings)[0].info.status == "FINISHED"
    assert history(settings, parent, "search_loss") == [(0, 0.5), (2, 0.6), (4, 0.4)]
