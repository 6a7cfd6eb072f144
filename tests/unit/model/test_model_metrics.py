from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import (
    LESS_IS_BETTER,
    METRICS,
    check_metric,
    compute_metrics,
    compute_reliability_bins,
    find_class_numbers,
)
from evergreen.model.predictions import Predictions
from evergreen.usecase import Floor, Gate


def names(*values):
    return np.array(values, dtype=object)


def of_classes(use_case, *classes):
    return replace(use_case, label=replace(use_case.label, classes=classes))


def test_binary_metrics_are_those_of_the_last_class(toy_use_case):
    truth = names("no", "no", "yes", "yes", "yes")
    said = names("no", "yes", "yes", "yes", "no")
    positive = np.array([0.1, 0.6, 0.9, 0.7, 0.4])
    found = compute_metrics(toy_use_case, truth, Predictions(said, np.column_stack([1 - positive, positive])))
    assert found == pytest.approx(
        {
            "accuracy": 3 / 5,
            "balanced_accuracy": (1 / 2 + 2 / 3) / 2,
            "precision": 2 / 3,
            "recall": 2 / 3,
            "f1": 2 / 3,
            "log_loss": -np.log([0.9, 0.4, 0.9, 0.7, 0.4]).mean(),
            "roc_auc": 5 / 6,
            # The class is met at ranks 1, 2 and 4.
            "pr_auc": (1 + 1 + 3 / 4) / 3,
            "brier": (0.01 + 0.36 + 0.01 + 0.09 + 0.36) / 5,
            # Two rows share a bin of confidence 0.9, two one of 0.6, and 0.7 has its own.
            "calibration_error": (2 * 0.1 + 2 * 0.6 + 0.3) / 5,
        }
    )
    assert tuple(found) == METRICS["binary"]


def test_multiclass_metrics_are_means_over_the_declared_classes(toy_use_case):
    three = of_classes(toy_use_case, "c", "a", "b")
    truth = names("a", "b", "c", "a")
    sure = np.eye(3)[[1, 2, 0, 0]] * 0.8 + 0.2 / 3
    found = compute_metrics(three, truth, Predictions(names("a", "b", "c", "c"), sure))
    assert tuple(found) == METRICS["multiclass"]
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found["precision"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert found["f1"] == pytest.approx((2 / 3 + 1 + 2 / 3) / 3)
    rest = 0.2 / 3
    right, wrong = (0.2 - rest) ** 2 + 2 * rest**2, (0.8 + rest) ** 2 + (1 - rest) ** 2 + rest**2
    assert found["brier"] == pytest.approx((3 * right + wrong) / 4)


def test_regression_metrics(toy_use_case):
    number = of_classes(toy_use_case)
    found = compute_metrics(number, names(1.0, 2.0, 3.0), Predictions(np.array([1.0, 2.0, 5.0]), None))
    assert found == pytest.approx({"mae": 2 / 3, "rmse": (4 / 3) ** 0.5, "r2": -1.0})
    assert tuple(found) == METRICS["regression"]


def test_metrics_may_be_named(toy_use_case):
    truth = names("no", "no", "yes", "yes")
    scores = Predictions(names("no", "yes", "yes", "yes"), np.eye(2)[[0, 1, 1, 1]] * 0.8 + 0.1)
    found = compute_metrics(toy_use_case, truth, scores)
    assert compute_metrics(toy_use_case, truth, scores, ["recall", "r2", "precision"]) == {
        name: found[name] for name in ("precision", "recall")
    }
    assert compute_metrics(toy_use_case, truth, scores, ["brier"]) == {"brier": found["brier"]}


def test_a_metric_that_is_not_defined_is_left_out(toy_use_case):
    truth = names("no", "no")
    found = compute_metrics(toy_use_case, truth, Predictions(truth, np.array([[0.9, 0.1], [0.8, 0.2]])))
    assert set(METRICS["binary"]) - set(found) == {"roc_auc", "pr_auc"}
    assert found["accuracy"] == 1.0
    assert found["recall"] == 0.0
    constant = compute_metrics(
        of_classes(toy_use_case), np.ones(3), Predictions(np.array([1.0, 2.0, 3.0]), None)
    )
    assert set(constant) == {"mae", "rmse"}


def test_a_class_that_nobody_declared_is_named(toy_use_case):
    with pytest.raises(TrainingError, match="'perhaps'") as caught:
        find_class_numbers(toy_use_case, names("yes", "perhaps"))
    assert "no, yes" in caught.value.hint


@st.composite
def predictions(draw):
    """(class numbers, probabilities) of 2 to 30 rows and 2 to 4 classes, with many ties."""
    rows, classes = draw(st.integers(2, 30)), draw(st.integers(2, 4))
    truth = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
    cells = draw(st.lists(st.integers(1, 6), min_size=rows * classes, max_size=rows * classes))
    weights = np.array(cells, dtype=np.float64).reshape(rows, classes)
    return truth, weights / weights.sum(axis=1, keepdims=True)


@given(predictions())
def test_losses_and_curves_are_scikit_learns(toy_use_case, drawn):
    from sklearn import metrics as sk

    truth, probabilities = drawn
    classes = probabilities.shape[1]
    use_case = of_classes(toy_use_case, *"dbca"[:classes])
    declared = names(*use_case.label.classes)
    found = compute_metrics(
        use_case, declared[truth], Predictions(declared[probabilities.argmax(axis=1)], probabilities)
    )
    assert all(np.isfinite(value) for value in found.values())
    losses = {"labels": range(classes)}
    assert found["log_loss"] == pytest.approx(sk.log_loss(truth, probabilities, **losses))
    if classes == 2:
        expected = sk.brier_score_loss(truth, probabilities[:, 1], pos_label=1)
    else:
        expected = sk.brier_score_loss(truth, probabilities, scale_by_half=False, **losses)
    assert found["brier"] == pytest.approx(expected)
    if len(set(truth)) < classes:
        assert "roc_auc" not in found
    elif classes == 2:
        assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, probabilities[:, 1]))
    else:
        ovr = sk.roc_auc_score(truth, probabilities, multi_class="ovr", labels=range(classes))
        assert found["roc_auc"] == pytest.approx(ovr)
        assert found["pr_auc"] == pytest.approx(sk.average_precision_score(truth, probabilities))


@given(predictions())
def test_the_calibration_error_is_the_mean_gap_of_the_reliability_diagram(toy_use_case, drawn):
    truth, probabilities = drawn
    use_case = of_classes(toy_use_case, *"dbca"[: probabilities.shape[1]])
    declared = names(*use_case.label.classes)
    scores = Predictions(declared[probabilities.argmax(axis=1)], probabilities)
    bins = compute_reliability_bins(use_case, declared[truth], scores)
    assert sum(each["rows"] for each in bins) == len(truth)
    assert [each["confidence"] for each in bins] == sorted(each["confidence"] for each in bins)
    gap = sum(each["rows"] * abs(each["confidence"] - each["accuracy"]) for each in bins) / len(truth)
    found = compute_metrics(use_case, declared[truth], scores)
    assert found["calibration_error"] == pytest.approx(gap, abs=1e-12)


def test_a_bin_holds_its_upper_edge_and_numbers_have_no_bins(toy_use_case):
    probabilities = np.array([[0.5, 0.5], [0.4, 0.6], [0.0, 1.0]])
    bins = compute_reliability_bins(
        toy_use_case, names("no", "no", "yes"), Predictions(names("no", "yes", "yes"), probabilities), bins=2
    )
    assert bins[0] == {"confidence": 0.5, "accuracy": 1.0, "rows": 1}
    assert bins[1] == {"confidence": pytest.approx(0.8), "accuracy": 0.5, "rows": 2}
    assert compute_reliability_bins(toy_use_case, np.ones(3), Predictions(np.ones(3), None)) == []


def test_a_metric_that_the_problem_does_not_have_is_found_out_first(toy_use_case):
    check_metric(toy_use_case)
    with pytest.raises(TrainingError, match="'acuracy'") as caught:
        check_metric(replace(toy_use_case, gate=Gate(metric="acuracy")))
    assert caught.value.hint == "did you mean 'accuracy'?"
    with pytest.raises(TrainingError, match="binary problem does not have"):
        check_metric(replace(toy_use_case, gate=Gate(metric="rmse")))


def test_what_is_less_is_known_for_metrics_that_exist():
    assert {name for known in METRICS.values() for name in known} >= LESS_IS_BETTER


def test_floors_and_a_calibration_limit_are_looked_at_too(toy_use_case):
    with pytest.raises(TrainingError, match="'roc_auk'") as caught:
        check_metric(replace(toy_use_case, gate=Gate(floors=(Floor("roc_auk", 0.5),))))
    assert caught.value.hint == "did you mean 'roc_auc'?"
    number = replace(toy_use_case, label=replace(toy_use_case.label, classes=()))
    with pytest.raises(TrainingError, match="calibration error, which a number does not have"):
        check_metric(replace(number, gate=Gate("rmse", calibration_error=0.1)))


def test_the_confidence_is_that_of_the_answer_even_if_class_weights_chose_it(toy_use_case):
    """Honest probabilities stay calibrated whichever class is answered."""
    rng = np.random.default_rng(5)
    positive = rng.uniform(0.0, 0.4, 40_000)
    probabilities = np.column_stack([1 - positive, positive])
    truth = np.where(rng.uniform(size=40_000) < positive, "yes", "no").astype(object)
    for least in (0.5, 0.1):
        said = np.where(positive > least, "yes", "no").astype(object)
        found = compute_metrics(toy_use_case, truth, Predictions(said, probabilities))
        assert found["calibration_error"] < 0.01, least
