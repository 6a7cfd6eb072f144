from dataclasses import replace

import numpy as np
import pytest

from evergreen.errors import TrainingError
from evergreen.training.evaluation import METRICS, Scores, baseline_scores, check_metric, metrics
from evergreen.training.fit import fit_baseline
from evergreen.usecase import Gate


def names(*values):
    return np.array(values, dtype=object)


def test_binary_metrics_are_those_of_the_last_class(toy_use_case):
    truth = names("no", "no", "yes", "yes", "yes")
    said = names("no", "yes", "yes", "yes", "no")
    positive = np.array([0.1, 0.6, 0.9, 0.7, 0.4])
    found = metrics(toy_use_case, truth, Scores(said, np.column_stack([1 - positive, positive])))
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert found["roc_auc"] == pytest.approx(5 / 6)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.9, 0.7, 0.4]).mean())
    assert set(found) == set(METRICS["binary"])


def test_a_metric_that_is_not_defined_is_left_out(toy_use_case):
    truth = names("no", "no")
    found = metrics(toy_use_case, truth, Scores(truth, np.array([[0.9, 0.1], [0.8, 0.2]])))
    assert "roc_auc" not in found
    assert found["accuracy"] == 1.0


def test_multiclass_and_regression_metrics(toy_use_case):
    three = replace(toy_use_case, label=replace(toy_use_case.label, classes=("c", "a", "b")))
    truth = names("a", "b", "c", "a")
    sure = np.eye(3)[[1, 2, 0, 0]] * 0.8 + 0.2 / 3
    found = metrics(three, truth, Scores(names("a", "b", "c", "c"), sure))
    assert set(found) == set(METRICS["multiclass"])
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1 + 1) / 3)
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    found = metrics(number, np.array([1.0, 2.0, 3.0]), Scores(np.array([1.0, 2.0, 5.0]), None))
    assert found == pytest.approx({"rmse": (4 / 3) ** 0.5, "mae": 2 / 3, "r2": -1.0})


def test_the_baseline_bears_missing_and_unseen_values_and_orders_its_classes(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    swapped = replace(toy_use_case, label=replace(toy_use_case.label, classes=("yes", "no")))
    baseline = fit_baseline(swapped, columns, label)
    columns["segment"] = names(*["pigeon"] * 300)
    columns["age"] = np.full(300, np.nan)
    given = baseline_scores(swapped, baseline, columns)
    assert given.probabilities.shape == (300, 2)
    assert (given.predictions == label).mean() > 0.7


def test_a_metric_that_the_problem_does_not_have_is_found_out_first(toy_use_case):
    check_metric(toy_use_case)
    with pytest.raises(TrainingError, match="'acuracy'") as caught:
        check_metric(replace(toy_use_case, gate=Gate(metric="acuracy")))
    assert caught.value.hint == "did you mean 'accuracy'?"
    with pytest.raises(TrainingError, match="binary problem does not have"):
        check_metric(replace(toy_use_case, gate=Gate(metric="rmse")))
