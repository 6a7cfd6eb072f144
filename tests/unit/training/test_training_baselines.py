from dataclasses import replace

import numpy as np

from evergreen.training.fit.baselines import fit_dummy, fit_linear
from evergreen.training.judge.answers import score_baseline


def test_the_linear_baseline_bears_missing_and_unseen_values_and_orders_its_classes(
    toy_use_case, toy_columns
):
    columns, label = toy_columns(300)
    swapped = replace(toy_use_case, label=replace(toy_use_case.label, classes=("yes", "no")))
    baseline = fit_linear(swapped, columns, label)
    columns["segment"] = np.array(["pigeon"] * 300, dtype=object)
    columns["age"] = np.full(300, np.nan)
    given = score_baseline(swapped, baseline, columns)
    assert given.probabilities.shape == (300, 2)
    assert (given.predictions == label).mean() > 0.7


def test_the_dummy_answers_the_commonest_class_with_the_classes_shares(toy_use_case, toy_columns):
    columns, label = toy_columns(300)
    given = score_baseline(toy_use_case, fit_dummy(toy_use_case, columns, label), columns)
    shares = [np.mean(label == name) for name in toy_use_case.label.classes]
    assert np.allclose(given.probabilities, shares)
    assert set(given.predictions) == {toy_use_case.label.classes[int(np.argmax(shares))]}


def test_the_dummy_of_a_number_is_its_mean(toy_use_case, toy_columns):
    columns, _ = toy_columns(300)
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    target = columns["visits"] * 3.0
    given = score_baseline(number, fit_dummy(number, columns, target), columns)
    assert np.allclose(given.predictions, target.mean())
