import logging
from dataclasses import replace

import numpy as np
import pytest

from evergreen.training.evaluation import metrics, scores
from evergreen.training.fit import fit, new_model
from evergreen.training.matrix import rows_of
from evergreen.training.split import Cut
from evergreen.training.tuning import tune


@pytest.fixture
def tuned(toy_use_case, toy_columns):
    """The toy's rows, the last of them for validation, and a function that tunes on them."""
    columns, label = toy_columns(300)
    last = np.arange(300) >= 240

    def run(use_case=toy_use_case, **options):
        return tune(use_case, columns, label, Cut(~last, last), threads=1, **options)

    return run


def test_the_same_rows_and_seed_find_the_same_parameters(tuned):
    first, second = tuned(), tuned()
    assert first.params == second.params
    assert [trial.loss for trial in first.trials] == [trial.loss for trial in second.trials]


def test_the_search_stays_in_its_space_and_keeps_the_best_trial(tuned, toy_use_case):
    budget = replace(toy_use_case.tuning, trials=6, l2_leaf_reg=(2.0, 4.0), learning_rate=(0.05, 0.1))
    found = tuned(replace(toy_use_case, tuning=budget))
    assert len(found.trials) == 6
    assert len({tuple(trial.params.values()) for trial in found.trials}) > 1
    for trial in found.trials:
        assert 2 <= trial.params["depth"] <= 4
        assert 2.0 <= trial.params["l2_leaf_reg"] <= 4.0
        assert 0.05 <= trial.params["learning_rate"] <= 0.1
        assert 1 <= trial.trees <= budget.iterations
    assert found.loss == min(trial.loss for trial in found.trials)
    assert found.params["iterations"] == min(found.trials, key=lambda trial: trial.loss).trees


def test_a_spent_budget_of_seconds_still_leaves_one_trial(tuned, toy_use_case):
    budget = replace(toy_use_case.tuning, trials=50, seconds=0.0)
    assert len(tuned(replace(toy_use_case, tuning=budget)).trials) == 1


def test_every_trial_is_shown(tuned, caplog):
    seen = []
    with caplog.at_level(logging.INFO, logger="evergreen.training.tuning"):
        tuned(progress=lambda trial, least: seen.append((trial.number, least)))
    assert [number for number, _ in seen] == [1, 2]
    assert caplog.messages[1].startswith("trial 2 of 2: loss 0.")


def test_early_stopping_cuts_trees_that_no_longer_help(toy_use_case, toy_columns):
    columns, _ = toy_columns(300)
    noise = np.random.default_rng(0).choice(np.array(["no", "yes"], dtype=object), 300)
    last = np.arange(300) >= 240
    budget = replace(toy_use_case.tuning, trials=1, iterations=400, early_stopping_rounds=5)
    found = tune(replace(toy_use_case, tuning=budget), columns, noise, Cut(~last, last), threads=1)
    assert found.trials[0].trees < 200


def test_classes_keep_their_declared_order(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    params = {"iterations": 20, "depth": 3, "l2_leaf_reg": 3.0, "learning_rate": 0.2}
    swapped = replace(toy_use_case, label=replace(toy_use_case.label, classes=("yes", "no")))
    one = fit(toy_use_case, columns, label, params, 1)
    other = fit(swapped, columns, label, params, 1)
    assert list(one.classes_) == ["no", "yes"]
    assert list(other.classes_) == ["yes", "no"]
    forward = scores(toy_use_case, one, columns)
    backward = scores(swapped, other, columns)
    assert forward.probabilities[:, 1] == pytest.approx(backward.probabilities[:, 0], abs=0.05)
    assert metrics(toy_use_case, label, forward)["roc_auc"] > 0.85


def test_regression_and_three_classes_fit_too(toy_use_case, toy_columns):
    columns, _ = toy_columns(300)
    params = {"iterations": 30, "depth": 3, "l2_leaf_reg": 3.0, "learning_rate": 0.2}
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    target = columns["visits"] * 3.0
    found = metrics(number, target, scores(number, fit(number, columns, target, params, 1), columns))
    assert found["r2"] > 0.8
    three = replace(toy_use_case, label=replace(toy_use_case.label, classes=("few", "some", "many")))
    names = np.array(["few", "some", "many"], dtype=object)[np.digitize(columns["visits"], [3, 6])]
    answers = scores(three, fit(three, columns, names, params, 1), columns)
    assert answers.probabilities.shape == (300, 3)
    assert metrics(three, names, answers)["accuracy"] > 0.9


def test_no_file_is_left_where_the_program_runs(toy_use_case, toy_columns, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    columns, label = toy_columns(100)
    fit(toy_use_case, rows_of(columns, np.ones(100, bool)), label, {"iterations": 3}, 1)
    assert list(tmp_path.iterdir()) == []
    assert new_model(toy_use_case, {}, 2).get_param("thread_count") == 2
