"""Metrics from cells are those of scikit-learn on the rows, and so are they with expected right ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from evergreen.model.error_profile.profile import ClassErrorProfile, NumberErrorProfile, RegionErrors
from evergreen.monitoring.quality.count_scores import CountedScores, ErrorSums, build_judged_scores
from evergreen.monitoring.quality.estimate import estimate_number_quality, estimate_quality
from evergreen.monitoring.quality.intervals import measure_class_metrics, measure_number_metrics
from evergreen.monitoring.quality.score_cells import (
    CELL_METRICS,
    ScoreCells,
    choose_metrics,
    compute_cell_metric,
    count_cells,
)
from evergreen.usecase import UseCase

SKLEARN = {
    "accuracy": lambda y, p, s: sk.accuracy_score(y, p),
    "balanced_accuracy": lambda y, p, s: np.mean([(p == y)[y == c].mean() for c in np.unique(y)]),
    "precision": lambda y, p, s: sk.precision_score(y, p, zero_division=0),
    "recall": lambda y, p, s: sk.recall_score(y, p, zero_division=0),
    "f1": lambda y, p, s: sk.f1_score(y, p, zero_division=0),
    "log_loss": lambda y, p, s: sk.log_loss(y, s, labels=[0, 1]),
    "brier": lambda y, p, s: float(np.mean((s - y) ** 2)),
    "roc_auc": lambda y, p, s: sk.roc_auc_score(y, s),
    "pr_auc": lambda y, p, s: sk.average_precision_score(y, s),
}


def draw(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and probabilities of class 1, on the grid of the cells, so that ties are theirs."""
    rng = np.random.default_rng(seed)
    score = (rng.integers(0, 100, rows) + 0.5) / 100.0
    label = (rng.random(rows) < score).astype(int)
    return label, (score > rng.choice([0.3, 0.5])).astype(int), score


def count(label: np.ndarray, predicted: np.ndarray, score: np.ndarray) -> CountedScores:
    confidence = np.where(predicted == 1, score, 1.0 - score)
    cells = count_cells(confidence, predicted == 1, np.zeros(len(label), dtype=np.intp))
    is_right = (label == predicted).astype(float)
    # As MariaDB sums them: by cell the right rows, their losses, and those of the wrong ones.
    keys = (predicted == 1) * 100 + np.minimum(np.floor(confidence * 100), 99).astype(int)
    _, codes = np.unique(keys, return_inverse=True)

    def add(values: np.ndarray) -> np.ndarray:
        return np.bincount(codes, values)

    losses = {
        "loss_right": add(-np.log(confidence) * is_right),
        "loss_wrong": add(-np.log1p(-confidence) * (1.0 - is_right)),
    }
    return build_judged_scores(replace(cells, **losses), add(is_right))


@given(st.integers(0, 2**32 - 1), st.integers(2, 400))
def test_metrics_of_cells_are_those_of_the_rows(seed: int, rows: int) -> None:
    label, predicted, score = draw(seed, rows)
    counted = count(label, predicted, score)
    cells = counted.cells
    for metric in CELL_METRICS["binary"]:
        value = float(compute_cell_metric(metric, cells, cells.rows[None, :], counted.right[None, :])[0])
        if metric in ("roc_auc", "pr_auc") and len(np.unique(label)) < 2:
            continue  # undefined
        assert value == pytest.approx(float(SKLEARN[metric](label, predicted, score)), abs=1e-9), metric


def test_the_metrics_that_are_followed_are_accuracy_and_the_gates(toy_use_case: UseCase) -> None:
    assert choose_metrics(toy_use_case) == ("accuracy", "roc_auc")


def test_intervals_of_realised_metrics_cover_the_truth() -> None:
    covered = {"accuracy": 0, "roc_auc": 0, "log_loss": 0}
    truth = {}
    label, predicted, score = draw(1, 400_000)
    whole = count(label, predicted, score)
    for metric in covered:
        truth[metric] = measure_class_metrics([metric], whole)[metric].value
    rng = np.random.default_rng(2)
    streams = 120
    for _ in range(streams):
        some = rng.integers(0, len(label), 400)
        measured = measure_class_metrics(list(covered), count(label[some], predicted[some], score[some]))
        for metric, estimate in measured.items():
            assert estimate.low is not None
            assert estimate.high is not None
            covered[metric] += estimate.low <= truth[metric] <= estimate.high
    assert min(covered.values()) >= 0.88 * streams


def test_few_rows_have_no_bootstrap_but_wilsons_interval() -> None:
    label, predicted, score = draw(3, 20)
    measured = measure_class_metrics(["accuracy", "roc_auc"], count(label, predicted, score))
    assert measured["accuracy"].low is not None
    assert measured["roc_auc"].low is None


def test_errors_of_numbers_have_normal_intervals() -> None:
    errors = np.abs(np.random.default_rng(4).normal(0.0, 2.0, 5_000))
    sums = ErrorSums(len(errors), errors.sum(), (errors**2).sum(), (errors**4).sum())
    measured = measure_number_metrics(sums)
    assert measured["mae"].low < 2.0 * np.sqrt(2.0 / np.pi) < measured["mae"].high
    assert measured["rmse"].low < 2.0 < measured["rmse"].high
    assert measure_number_metrics(ErrorSums(0, 0.0, 0.0, 0.0)) == {}
    few = measure_number_metrics(ErrorSums(2, 2.0, 2.0, 2.0))
    assert (few["mae"].value, few["mae"].low, few["rmse"].low) == (1.0, None, None)


def make_profile(**changes: object) -> ClassErrorProfile:
    fields = {
        "partition": 0,
        "centre": 0.0,
        "parameters": np.zeros(3),
        "covariance": np.eye(3) * 1e-4,
        "shares": (1.0,),
        "rows": 4_000,
        "reference": {"accuracy": 0.8, "roc_auc": 0.85},
        "deviations": {},
    }
    return ClassErrorProfile(**{**fields, **changes})  # type: ignore[arg-type]


def test_estimates_of_a_calibrated_model_hold_the_truth_in_their_band() -> None:
    metrics = CELL_METRICS["binary"]
    covered = dict.fromkeys(metrics, 0)
    streams = 60
    for seed in range(streams):
        label, predicted, score = draw(100 + seed, 1_000)
        confidence = np.where(predicted == 1, score, 1.0 - score)
        cells = count_cells(confidence, predicted == 1, np.zeros(1_000, dtype=np.intp))
        for estimate in estimate_quality(metrics, make_profile(), cells):
            truth = float(SKLEARN[estimate.metric](label, predicted, score))
            assert estimate.low <= estimate.value <= estimate.high
            covered[estimate.metric] += estimate.low <= truth <= estimate.high
    assert min(covered.values()) >= 0.85 * streams, covered


def test_the_band_grows_where_rows_are_unlike_the_hold_outs() -> None:
    confidence = np.full(500, 0.8)
    cells = count_cells(confidence, np.ones(500, dtype=bool), np.ones(500, dtype=np.intp))
    known, strange = (
        estimate_quality(
            ("accuracy",),
            make_profile(parameters=np.zeros(4), covariance=np.eye(4) * 1e-4, shares=shares),
            cells,
        )[0]
        for shares in ((0.0, 1.0), (1.0, 0.0))
    )
    assert known.value == strange.value == pytest.approx(0.8)
    assert known.reference == 0.8
    assert strange.high - strange.low > 1.5 * (known.high - known.low)


def test_nothing_to_estimate_is_no_estimate() -> None:
    empty = np.zeros(0)
    cells = ScoreCells(empty, empty.astype(np.intp), empty.astype(bool), empty, empty, empty)
    assert estimate_quality(("accuracy",), make_profile(), cells) == ()
    number = NumberErrorProfile(0, (RegionErrors(10, 1.0, 0.1, 2.0, 0.2),), 10, {"mae": 1.0}, {})
    assert estimate_number_quality(number, np.array([0])) == ()


def test_the_loss_of_numbers_follows_the_regions_shares() -> None:
    regions = (RegionErrors(500, 1.0, 0.25, 1.25, 0.5), RegionErrors(500, 3.0, 0.25, 9.25, 0.5))
    profile = NumberErrorProfile(0, regions, 1_000, {"mae": 2.0, "rmse": 2.3}, {})
    mae, rmse = estimate_number_quality(profile, np.array([250, 750]))
    assert (mae.metric, mae.value, mae.reference, mae.rows) == ("mae", 2.5, 2.0, 1_000)
    assert rmse.value == pytest.approx(np.sqrt(0.25 * 1.25 + 0.75 * 9.25))
    assert mae.low < 2.5 < mae.high < 2.6
