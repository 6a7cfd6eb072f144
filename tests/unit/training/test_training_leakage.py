"""A score that is too good is told, with the features that carry it; and never rejects."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evergreen.training.judge.evaluation import Evaluation
from evergreen.training.judge.gate import judge_candidate
from evergreen.training.judge.leakage import warn_of_leakage
from evergreen.usecase import Gate

IMPORTANCE = {"mood": 9.0, "visits": 0.6, "spend": 0.4}


def evaluation(metric, value, *, guess=0.5, rows=100, right=0.5, importance=IMPORTANCE):
    """Of `rows` rows a guess gets the share `right`, and reaches `guess` of the metric."""
    return {
        "candidate": {metric: value},
        "dummy": {"accuracy": right, metric: guess},
        "holdout_rows": rows,
        "importance": importance,
        "size_bytes": 1_000,
        "latency_ms": 0.1,
    }


def warning(use_case, gate, figures):
    return warn_of_leakage(replace(use_case, gate=Gate(metric=gate)), Evaluation.from_json(figures))


@pytest.mark.parametrize(("value", "warned"), [(1.0, True), (0.995, True), (0.9949, False), (0.5, False)])
def test_a_nearly_perfect_score_names_the_features_that_carry_it(toy_use_case, value, warned):
    check = warning(toy_use_case, "roc_auc", evaluation("roc_auc", value))
    assert (check is not None) is warned
    if check is not None:
        assert (check.name, check.result, check.candidate, check.wanted) == (
            "leakage",
            "warning",
            value,
            0.995,
        )
        assert check.reason == (
            f"roc_auc {value:.4f} is nearly perfect: may the answer be among the features? The model rests on"
            " mood (90% of the importance): see that its value is known before the answer is"
        )


@pytest.mark.parametrize(
    ("importance", "named"),
    [
        ({"a": 8.0, "b": 2.0}, ["a"]),
        ({"a": 7.9, "b": 2.1}, ["a", "b"]),
        ({"b": 1.0, "c": 1.0, "d": 1.0, "a": 1.0}, ["b", "c", "d"]),
        ({"small": 0.1, "great": 0.9}, ["great"]),
        ({"a": 0.0}, []),
        ({}, []),
        (None, []),
    ],
)
def test_as_many_features_are_named_as_carry_most_of_it_and_three_at_most(toy_use_case, importance, named):
    check = warning(toy_use_case, "roc_auc", evaluation("roc_auc", 1.0, importance=importance))
    assert check is not None
    _, _, features = check.reason.partition("rests on ")
    found = [each.partition(" (")[0] for each in features.split("), ")] if features else []
    assert [name.partition(" (")[0] for name in found] == named


@pytest.mark.parametrize(
    ("value", "guess", "warned"),
    [
        (0.996, 0.99, False),
        (0.9997, 0.99, False),
        (0.99985, 0.99, True),
        (0.9981, 0.9, True),
        (0.9979, 0.9, False),
        (0.9951, 0.7, True),
    ],
)
def test_where_one_class_has_most_rows_a_high_accuracy_is_nothing(toy_use_case, value, guess, warned):
    figures = evaluation("accuracy", value, guess=guess, rows=1_000_000)
    check = warning(toy_use_case, "accuracy", figures)
    assert (check is not None) is warned


@pytest.mark.parametrize(("rows", "right", "warned"), [(10, 0.5, True), (9, 0.5, False), (20, 0.75, True)])
def test_a_handful_of_rows_says_nothing(toy_use_case, rows, right, warned):
    check = warning(toy_use_case, "roc_auc", evaluation("roc_auc", 1.0, rows=rows, right=right))
    assert (check is not None) is warned


@pytest.mark.parametrize("gate", ["log_loss", "brier", "precision", "recall", "calibration_error"])
def test_a_metric_whose_best_value_says_little_is_looked_at_by_roc_auc(toy_use_case, gate):
    figures = evaluation("roc_auc", 1.0)
    figures["candidate"][gate] = figures["dummy"][gate] = 1.0
    check = warning(toy_use_case, gate, figures)
    assert check is not None
    assert check.reason.startswith("roc_auc 1.0000")
    assert warning(toy_use_case, gate, evaluation("roc_auc", 0.9)) is None


@pytest.mark.parametrize("gate", ["mae", "rmse", "r2"])
@pytest.mark.parametrize(("value", "rows", "warned"), [(0.999, 5, True), (0.9989, 5, False), (1.0, 4, False)])
def test_numbers_are_looked_at_by_r2(toy_use_case, gate, value, rows, warned):
    number = replace(
        toy_use_case,
        label=replace(toy_use_case.label, classes=()),
        gate=Gate(metric=gate),
    )
    figures = evaluation("r2", value, guess=-0.01, rows=rows)
    assert (warn_of_leakage(number, Evaluation.from_json(figures)) is not None) is warned


def test_what_was_not_measured_is_not_warned_of(toy_use_case):
    for missing in ("candidate", "dummy"):
        assert warning(toy_use_case, "roc_auc", evaluation("roc_auc", 1.0) | {missing: {}}) is None
    assert warning(toy_use_case, "roc_auc", evaluation("roc_auc", 1.0) | {"holdout_rows": None}) is None


def test_the_gate_warns_and_lets_it_in(toy_use_case, duel):
    use_case = replace(toy_use_case, gate=Gate(metric="accuracy"))
    figures = duel(1.0, dummy=0.5, holdout_rows=100, importance=IMPORTANCE)
    verdict = judge_candidate(use_case, figures)
    assert verdict.passed
    assert [check.name for check in verdict.warnings] == ["leakage"]
    assert verdict.summary.startswith("passed with 1 warning: accuracy 1.0000 is nearly perfect")
    assert "mood (90% of the importance)" in verdict.summary
