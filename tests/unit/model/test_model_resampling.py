from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evergreen.errors import TrainingError
from evergreen.model.judging.metrics import METRICS, compute_metrics
from evergreen.model.judging.resampling import (
    Gain,
    bootstrap_metrics,
    compute_gain,
    compute_intervals,
    draw_resamples,
)
from evergreen.model.judging.weighted import build_metric_function
from evergreen.model.predictions import Predictions


def names(*values):
    return np.array(values, dtype=object)


def of_classes(use_case, *classes):
    return replace(use_case, label=replace(use_case.label, classes=classes))


def classified(use_case, truth, probabilities):
    """(use case, label, scores) of class numbers and probabilities."""
    use_case = of_classes(use_case, *"dbca"[: probabilities.shape[1]])
    declared = names(*use_case.label.classes)
    return use_case, declared[truth], Predictions(declared[probabilities.argmax(axis=1)], probabilities)


def some_classified(use_case, rows, classes, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, rows)
    powers = np.exp(rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[truth])
    return classified(use_case, truth, powers / powers.sum(axis=1, keepdims=True))


def repeated(label, scores, times):
    probabilities = scores.probabilities
    return np.repeat(label, times), Predictions(
        np.repeat(scores.predictions, times),
        None if probabilities is None else np.repeat(probabilities, times, axis=0),
    )


def assert_same(found, expected):
    """One weighting's metrics, and a dict that lacks what is undefined."""
    assert {name for name, value in found.items() if np.isfinite(value[0])} == set(expected)
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@st.composite
def weighted_rows(draw):
    """(class numbers, probabilities with ties, weights 0 to 4 of which one is not 0)."""
    rows, classes = draw(st.integers(1, 30)), draw(st.integers(2, 4))
    truth = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows)))
    cells = draw(st.lists(st.integers(1, 4), min_size=rows * classes, max_size=rows * classes))
    parts = np.array(cells, dtype=np.float64).reshape(rows, classes)
    weights = draw(st.lists(st.integers(0, 4), min_size=rows, max_size=rows).filter(any))
    return truth, parts / parts.sum(axis=1, keepdims=True), np.array(weights, dtype=np.int32)


@given(weighted_rows())
def test_a_weight_is_how_often_a_row_stands_there(toy_use_case, drawn):
    truth, probabilities, weights = drawn
    use_case, label, scores = classified(toy_use_case, truth, probabilities)
    measure = build_metric_function(use_case, label, scores, np.arange(len(truth)), len(truth))
    assert_same(measure(weights[None, :]), compute_metrics(use_case, *repeated(label, scores, weights)))
    assert_same(measure(np.ones_like(weights)[None, :]), compute_metrics(use_case, label, scores))


@given(weighted_rows())
def test_weighted_metrics_are_scikit_learns(toy_use_case, drawn):
    from sklearn import metrics as sk

    truth, probabilities, weights = drawn
    use_case, label, scores = classified(toy_use_case, truth, probabilities)
    classes, said = probabilities.shape[1], probabilities.argmax(axis=1)
    found = build_metric_function(use_case, label, scores, np.arange(len(truth)), len(truth))(
        weights[None, :]
    )
    weighted = {"sample_weight": weights}
    judged = [1] if classes == 2 else list(range(classes))
    macro = {"labels": judged, "average": "macro", "zero_division": 0.0, **weighted}
    expected = {
        "accuracy": sk.accuracy_score(truth, said, **weighted),
        "precision": sk.precision_score(truth, said, **macro),
        "recall": sk.recall_score(truth, said, **macro),
        "f1": sk.f1_score(truth, said, **macro),
        "log_loss": sk.log_loss(truth, probabilities, labels=range(classes), **weighted),
    }
    present = [number for number in range(classes) if weights[truth == number].sum()]
    if len(present) == classes:
        curves = [(truth == number, probabilities[:, number]) for number in judged]
        expected["roc_auc"] = np.mean([sk.roc_auc_score(*curve, **weighted) for curve in curves])
        expected["pr_auc"] = np.mean([sk.average_precision_score(*curve, **weighted) for curve in curves])
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=20
    ).filter(lambda rows: any(row[2] for row in rows))
)
def test_weights_count_for_numbers_too(toy_use_case, rows):
    drawn = np.array(rows)
    label, scores, weights = drawn[:, 0] + 1000.25, Predictions(drawn[:, 1] + 1000.5, None), drawn[:, 2]
    use_case = of_classes(toy_use_case)
    measure = build_metric_function(use_case, label, scores, np.arange(len(rows)), len(rows))
    found = measure(weights[None, :].astype(np.int32))
    assert_same(found, compute_metrics(use_case, *repeated(label, scores, weights)))


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_each_resample_is_measured_as_the_rows_it_drew(toy_use_case, classes):
    if classes:
        use_case, label, scores = some_classified(toy_use_case, 60, classes)
    else:
        rng = np.random.default_rng(1)
        label, use_case = rng.normal(size=60), of_classes(toy_use_case)
        scores = Predictions(label + rng.normal(size=60), None)
    drawn = draw_resamples(np.arange(60) // 3, seed=5, most=20)
    samples = bootstrap_metrics(use_case, label, scores, drawn)
    assert tuple(samples) == METRICS[use_case.problem]
    for number, weights in enumerate(drawn.weights().astype(int)):
        expected = compute_metrics(use_case, *repeated(label, scores, weights))
        assert_same({name: values[number : number + 1] for name, values in samples.items()}, expected)


@given(st.lists(st.integers(-2, 5), min_size=1, max_size=40), st.integers(0, 3))
def test_rows_of_one_entity_are_drawn_together(groups, seed):
    drawn = draw_resamples(np.array(groups), seed, most=30)
    weights = drawn.weights()
    assert weights.shape == (30, len(groups))
    for group in set(groups):
        mine = weights[:, np.array(groups) == group]
        assert (mine == mine[:, :1]).all()
    counts = np.concatenate(list(drawn.chunks()))
    assert (counts.sum(axis=1) == len(set(groups))).all()


def test_every_entity_is_drawn_as_often_as_chance_says():
    counts = draw_resamples(np.arange(50), seed=3, most=4000).weights()
    assert counts.mean(axis=0) == pytest.approx(np.ones(50), abs=0.08)
    # A row is left out with the chance (1 - 1/n)^n.
    assert (counts == 0).mean() == pytest.approx(0.98**50, abs=0.005)


def test_the_same_seed_draws_the_same_and_another_seed_others():
    groups = np.arange(3_000)
    first = draw_resamples(groups, seed=1)
    assert (first.weights() == first.weights()).all()
    assert (first.weights() == draw_resamples(groups, seed=1).weights()).all()
    assert (first.weights() != draw_resamples(groups, seed=2).weights()).any()
    assert len(list(first.chunks())) > 1


@pytest.mark.parametrize(
    ("rows", "wanted", "count"), [(100, 1000, 1000), (100_000, 1000, 500), (400_000, 1000, 200), (10, 50, 50)]
)
def test_many_rows_are_resampled_less_often(rows, wanted, count):
    assert draw_resamples(np.zeros(rows, dtype=int), seed=0, most=wanted).count == count


def test_no_rows_cannot_be_resampled():
    with pytest.raises(TrainingError, match="no rows"):
        draw_resamples(np.array([], dtype=int), seed=0)


def test_intervals_hold_the_value_and_entities_widen_them(toy_use_case):
    use_case, label, scores = some_classified(toy_use_case, 300, 3)
    alone = compute_intervals(
        bootstrap_metrics(use_case, label, scores, draw_resamples(np.arange(300), seed=1))
    )
    for name, value in compute_metrics(use_case, label, scores).items():
        # The calibration error is biased upwards in resamples, as noise never cancels in it.
        assert name == "calibration_error" or alone[name][0] < value < alone[name][1]
    # Each row ten times is no more than what the row alone tells.
    label, scores = repeated(label, scores, 10)
    grouped = compute_intervals(
        bootstrap_metrics(use_case, label, scores, draw_resamples(np.repeat(np.arange(300), 10), seed=1))
    )
    assert grouped["accuracy"] == pytest.approx(alone["accuracy"])
    naive = compute_intervals(
        bootstrap_metrics(use_case, label, scores, draw_resamples(np.arange(3000), seed=1))
    )
    assert naive["accuracy"][1] - naive["accuracy"][0] < 0.5 * np.diff(alone["accuracy"])[0]


def test_what_is_mostly_undefined_has_no_interval():
    half = np.array([1.0, 2.0, np.nan, np.nan])
    assert compute_intervals({"a": half, "b": np.full(4, np.nan), "c": np.array([1.0, np.nan, np.nan])}) == {
        "a": (pytest.approx(1.025), pytest.approx(1.975))
    }
    assert compute_intervals({"a": np.arange(101.0)}, level=0.8)["a"] == (
        pytest.approx(10),
        pytest.approx(90),
    )


def test_a_rare_class_that_resamples_miss_is_nan_there(toy_use_case):
    truth = np.array([1] + [0] * 19)
    probabilities = np.column_stack([np.linspace(0.1, 0.9, 20), np.linspace(0.9, 0.1, 20)])
    use_case, label, scores = classified(toy_use_case, truth, probabilities)
    drawn = draw_resamples(np.arange(20), seed=1, most=200)
    samples = bootstrap_metrics(use_case, label, scores, drawn)
    missed = drawn.weights()[:, 0] == 0
    assert 0 < missed.sum() < 100
    for name in ("roc_auc", "pr_auc"):
        assert (np.isnan(samples[name]) == missed).all()
    assert np.isfinite(samples["accuracy"]).all()


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_a_gain_is_positive_where_the_candidate_is_better(metric):
    better, worse = (0.9, 0.5) if metric == "accuracy" else (0.5, 0.9)
    noise = np.linspace(-0.1, 0.1, 101)
    found = compute_gain(metric, better + noise, worse + noise, better, worse, 0.0)
    assert found == Gain(pytest.approx(0.4), pytest.approx(0.4), pytest.approx(0.4), 1.0, 1.0)
    back = compute_gain(metric, worse + noise, better + noise, worse, better, 0.0)
    assert back.value == pytest.approx(-found.value)
    assert back.share == 0.0


def test_an_equal_model_gains_nothing_but_reaches_a_margin_below_zero(toy_use_case):
    use_case, label, scores = some_classified(toy_use_case, 200, 2)
    drawn = draw_resamples(np.arange(200), seed=1, most=200)
    one, other = (bootstrap_metrics(use_case, label, scores, drawn) for _ in range(2))
    for metric in METRICS["binary"]:
        assert compute_gain(metric, one[metric], other[metric], 0.5, 0.5, 0.0) == Gain(
            0.0, 0.0, 0.0, 0.0, 0.0
        )
        assert compute_gain(metric, one[metric], other[metric], 0.5, 0.5, -0.01).share == 1.0
        assert compute_gain(metric, one[metric], other[metric], 0.5, 0.5, 0.01).share == 0.0


def test_a_margin_is_reached_by_as_much():
    candidate = np.array([0.25, 0.5, 0.75, np.nan])
    found = compute_gain("accuracy", candidate, np.zeros(4), 0.5, 0.0, 0.5)
    assert found.share == pytest.approx(2 / 3)


def test_better_counts_every_gain_above_nothing_whatever_the_margin():
    candidate = np.array([0.4, 0.5, 0.51, 0.9, np.nan])
    for margin, share in ((-0.2, 1.0), (0.0, 0.5), (0.2, 0.25)):
        found = compute_gain("accuracy", candidate, np.full(5, 0.5), 0.5, 0.5, margin)
        assert (found.share, found.better) == (share, 0.5)


def test_a_gain_that_most_resamples_do_not_define_is_none():
    candidate = np.array([0.25, 0.5, 0.75, np.nan])
    assert compute_gain("accuracy", candidate, np.array([0.0, np.nan, np.nan, 0.0]), 0.5, 0.0, 0.5) is None
