from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evergreen.model.reference_profile import FeatureProfile
from evergreen.monitoring.quality import compute_quality

REFERENCE = FeatureProfile("__prediction__", "category", ("no", "yes"), (700, 300, 0, 0))


def outcomes(predictions, actual):
    return pd.DataFrame({"prediction": predictions, "actual": actual}, dtype=object)


def said(no, yes):
    return np.array(["no"] * no + ["yes"] * yes, dtype=object)


NOTHING = outcomes([], [])


def test_with_labels_the_labelled_ones_are_judged(toy_use_case):
    labelled = outcomes(["no", "no", "yes"], ["no", "yes", "yes"])
    found = compute_quality(toy_use_case, said(3, 1), labelled, REFERENCE)
    assert (found.predictions, found.labelled) == (4, 3)
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    assert found.reason == "accuracy 0.6667 on 3 labelled predictions"
    assert found.prediction_psi is None  # four rows tell nothing of a distribution


def test_without_labels_the_answers_are_compared_with_the_hold_outs(toy_use_case):
    same = compute_quality(toy_use_case, said(140, 60), NOTHING, REFERENCE)
    assert same.metrics["accuracy"] is None
    assert same.prediction_psi < 0.05
    moved = compute_quality(toy_use_case, said(20, 180), NOTHING, REFERENCE)
    assert moved.prediction_psi > 0.25
    assert moved.answers == {"no": 0.1, "yes": 0.9}
    assert moved.reason.startswith("no outcome was learned lately; PSI of the answers ")


def test_nothing_logged_is_no_verdict(toy_use_case):
    found = compute_quality(toy_use_case, said(0, 0), NOTHING, REFERENCE)
    assert found.reason == "no verdict: no outcome was learned lately, and 0 answers are few"


def test_outcomes_without_a_prediction_are_told(toy_use_case):
    labelled = outcomes(["no"], ["no"])
    found = compute_quality(toy_use_case, said(3, 1), labelled, REFERENCE, orphans=1)
    assert found.orphans == 1
    assert found.reason == (
        "accuracy 1.0000 on 1 labelled predictions;"
        " of the outcomes, an id names a prediction that the log does not have"
    )
    many = compute_quality(toy_use_case, said(0, 0), NOTHING, REFERENCE, orphans=1200)
    assert many.reason.endswith("; of the outcomes, 1,200 ids name predictions that the log does not have")


def test_regression_is_judged_by_its_errors(toy_use_case):
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    labelled = pd.DataFrame({"prediction": [1.0, 2.0], "actual": [2.0, 4.0]})
    found = compute_quality(number, np.array([1.0, 2.0, 9.0]), labelled, None)
    assert found.metrics["mae"] == 1.5
    assert found.metrics["rmse"] == pytest.approx(2.5**0.5)
    assert found.answers == {"mean": 4.0}
