"""The search, on a study in memory; kills and shared studies in MariaDB are in tests/integration."""

import logging
import time
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState

from evergreen.errors import StoreUnreachable, TrainingError
from evergreen.training.data.split import Cut
from evergreen.training.fit.fitting import Machine
from evergreen.training.search.samplers import create_sampler
from evergreen.training.search.search_result import build_search_result
from evergreen.training.search.trial import list_trials
from evergreen.training.search.worker import count_worker_trials, run_trials
from evergreen.usecase import Between, OneOf


def tuning(use_case, **changes):
    return replace(use_case, tuning=replace(use_case.tuning, **changes))


@pytest.fixture
def searched(toy_use_case, toy_columns):
    """Searches on the toy's rows, the last of them for validation; returns study and result."""
    columns, label = toy_columns(300)
    last = np.arange(300) >= 240

    def run(use_case=toy_use_case, study=None, label=label, **options):
        study = study or optuna.create_study(pruner=optuna.pruners.NopPruner())
        run_trials(study, use_case, columns, label, Cut(~last, last), machine=Machine(1), **options)
        return study, build_search_result(study, use_case).to_json()

    return run


def test_the_same_rows_and_seed_find_the_same_recipe(searched):
    (_, first), (_, second) = searched(), searched()
    assert first["params"] == second["params"]
    assert first["calibration"] == second["calibration"]
    assert [t["loss"] for t in first["trials"]] == [t["loss"] for t in second["trials"]]


def test_the_search_begins_in_the_middle_stays_in_its_space_and_keeps_the_best(searched, toy_use_case):
    space = (
        Between("depth", 2, 4),
        Between("l2_leaf_reg", 2.0, 8.0, log=True),
        Between("learning_rate", 0.05, 0.1),
        OneOf("rsm", (0.8, 1.0)),
    )
    _, found = searched(tuning(toy_use_case, space=space, trials=6))
    assert len(found["trials"]) == 6
    first = found["trials"][0]["params"]
    assert first == pytest.approx({"depth": 3, "l2_leaf_reg": 4.0, "learning_rate": 0.075, "rsm": 1.0})
    assert len({tuple(trial["params"].values()) for trial in found["trials"]}) > 1
    for trial in found["trials"]:
        assert 2 <= trial["params"]["depth"] <= 4
        assert 2.0 <= trial["params"]["l2_leaf_reg"] <= 8.0
        assert 0.05 <= trial["params"]["learning_rate"] <= 0.1
        assert trial["params"]["rsm"] in (0.8, 1.0)
        assert 1 <= trial["trees"] <= toy_use_case.tuning.iterations
    best = min(found["trials"], key=lambda trial: trial["loss"])
    assert found["loss"] == best["loss"]
    assert found["params"] == {**best["params"], "iterations": best["trees"]}
    assert set(found["importance"]) <= {s.parameter for s in space}


def test_a_spent_budget_of_seconds_still_leaves_one_trial(searched, toy_use_case):
    _, found = searched(tuning(toy_use_case, trials=50, seconds=0.0))
    assert len(found["trials"]) == 1


def test_every_trial_is_told(searched, caplog):
    seen = []
    with caplog.at_level(logging.INFO, logger="evergreen.training.search.worker"):
        searched(progress=lambda trial, least, done, of: seen.append((trial.number, done, of)))
    assert seen == [(0, 1, 2), (1, 2, 2)]
    # Not of other libraries: whether Optuna's own lines are captured depends on what ran before.
    told = [record.message for record in caplog.records if record.name == "evergreen.training.search.worker"]
    assert told[1].startswith("trial 2 of 2 complete: loss 0.")


def test_a_trial_began_at_the_same_moment_wherever_it_is_read(searched, monkeypatch):
    before = time.time()
    study, _ = searched()
    after = time.time()
    try:
        for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert all(before <= trial.started <= after for trial in list_trials(study))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_grid_visits_every_point_once_and_ends(searched, toy_use_case):
    space = (Between("depth", 2, 3), OneOf("rsm", (0.8, 1.0)))
    _, found = searched(tuning(toy_use_case, space=space, sampler="grid", trials=50))
    points = {tuple(sorted(trial["params"].items())) for trial in found["trials"]}
    assert len(points) == len(found["trials"]) == 4


def test_a_random_search_is_random_and_seeded(searched, toy_use_case):
    use_case = tuning(toy_use_case, sampler="random", trials=3)
    (_, first), (_, second) = searched(use_case), searched(use_case)
    points = [trial["params"]["learning_rate"] for trial in first["trials"]]
    assert len(set(points)) == 3
    assert points == [trial["params"]["learning_rate"] for trial in second["trials"]]


def test_workers_share_the_trials(searched, toy_use_case):
    use_case = tuning(toy_use_case, trials=5, workers=2)
    assert [count_worker_trials(use_case, worker) for worker in range(2)] == [3, 2]
    study, _ = searched(use_case, worker=0)
    assert len(study.trials) == 3
    _, found = searched(use_case, study, worker=1)
    assert [trial["worker"] for trial in found["trials"]] == [0, 0, 0, 1, 1]
    _, again = searched(use_case, study, worker=0)
    assert again == found, "a share that is done is not done again"


def test_a_killed_trial_is_given_up_and_its_parameters_are_tried_again(searched, toy_use_case):
    use_case = tuning(toy_use_case, trials=4)
    _, whole = searched(use_case)

    class Killed(BaseException):
        pass

    def deadly(trial, least, done, of):
        if done == 2:
            raise Killed

    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    with pytest.raises(Killed):
        searched(use_case, study, progress=deadly)
    # A third one was on its way.
    left = study.ask()
    left.set_user_attr("worker", 0)
    study, found = searched(use_case, study)
    assert [t.state for t in study.trials].count(TrialState.FAIL) == 1
    done = [t for t in found["trials"] if t["state"] == "complete"]
    assert [t["params"] for t in done] == [t["params"] for t in whole["trials"]]
    assert found["params"] == whole["params"]


def test_a_killed_trial_of_a_grid_loses_no_point_of_it(searched, toy_use_case):
    space = (Between("depth", 2, 3), OneOf("rsm", (0.8, 1.0)))
    use_case = tuning(toy_use_case, space=space, sampler="grid", trials=4)
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    # Killed in its fit: it had taken its point already.
    study.sampler = create_sampler(use_case, 0, 0)
    left = study.ask({"depth": IntDistribution(2, 3), "rsm": CategoricalDistribution((0.8, 1.0))})
    left.set_user_attr("worker", 0)
    study, _ = searched(use_case, study)
    done = [tuple(t.params.items()) for t in study.trials if t.state == TrialState.COMPLETE]
    assert len(done) == len(set(done)) == 4


def test_two_workers_take_no_point_of_a_grid_twice(searched, toy_use_case):
    space = (Between("depth", 2, 4), OneOf("rsm", (0.8, 1.0)))
    use_case = tuning(toy_use_case, space=space, sampler="grid", trials=50, workers=2)
    assert [count_worker_trials(use_case, worker) for worker in range(2)] == [3, 3]
    study, _ = searched(use_case, worker=0)
    study, _ = searched(use_case, study, worker=1)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == len(study.trials) == 6


def test_what_goes_wrong_while_a_trial_is_watched_is_not_blamed_on_catboost(
    searched, toy_use_case, monkeypatch
):
    def gone(*_):
        raise StoreUnreachable("MariaDB does not answer", hint="start the stack")

    monkeypatch.setattr(optuna.Trial, "report", gone)
    with pytest.raises(StoreUnreachable, match="MariaDB does not answer"):
        searched(tuning(toy_use_case, trials=1))


def test_a_hopeless_trial_is_pruned_on_the_validation_curve(searched, toy_use_case):
    hopeless = 0.0001
    use_case = tuning(
        toy_use_case,
        space=(OneOf("learning_rate", (hopeless, 0.15, 0.1, 0.2)),),
        sampler="grid",
        trials=4,
        early_stopping_rounds=100,
        seed=3,
    )
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=10))
    _, found = searched(use_case, study)
    [trial] = [trial for trial in found["trials"] if trial["params"]["learning_rate"] == hopeless]
    assert trial["number"] > 0, "the seed must not put it first, where there is nothing to compare it with"
    assert trial["state"] == "pruned"
    assert trial["trees"] < use_case.tuning.iterations
    assert found["params"]["learning_rate"] != hopeless


def test_early_stopping_cuts_trees_that_no_longer_help(searched, toy_use_case):
    noise = np.random.default_rng(0).choice(np.array(["no", "yes"], dtype=object), 300)
    use_case = tuning(toy_use_case, trials=1, iterations=400, early_stopping_rounds=5)
    _, found = searched(use_case, label=noise)
    assert found["params"]["iterations"] < 200
    curve = found["curve"]
    assert curve["best"] == found["params"]["iterations"]
    assert len(curve["trees"]) == len(curve["train"]) == len(curve["validation"]) <= 200


def test_parameters_that_do_not_go_together_are_named(searched, toy_use_case):
    use_case = tuning(toy_use_case, space=(OneOf("bootstrap_type", ("No",)), Between("subsample", 0.5, 0.9)))
    with pytest.raises(TrainingError, match=r"CatBoost cannot fit toy: .*subsample") as caught:
        searched(use_case)
    assert "search space" in caught.value.hint


def test_a_search_without_a_complete_trial_has_no_result(toy_use_case):
    study = optuna.create_study()
    study.tell(study.ask(), state=TrialState.FAIL)
    assert [trial.state for trial in list_trials(study)] == ["failed"]
    with pytest.raises(TrainingError, match="no trial of toy's search came to its end"):
        build_search_result(study, toy_use_case)
