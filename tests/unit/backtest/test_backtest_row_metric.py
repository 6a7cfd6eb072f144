"""The metric of rows: its mean is the gate's metric, and what probabilities lead one to expect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evergreen.backtest.past.row_metric import build_row_metric
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.predict import decide_classes
from evergreen.model.predictions import Predictions
from evergreen.usecase import Gate, UseCase
from support.shop_past import BASKET, SHOP


def judge_by(use_case: UseCase, metric: str) -> UseCase:
    return replace(use_case, gate=Gate(metric=metric))


def draw_scores(rows: int = 400) -> tuple[np.ndarray, Predictions]:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.01, 0.99, rows)
    label = np.where(rng.random(rows) < chance, "yes", "no").astype(object)
    return label, decide_classes(np.column_stack([1 - chance, chance]), ("no", "yes"))


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss"])
def test_the_mean_over_rows_is_the_metric(metric: str) -> None:
    use_case, (label, scores) = judge_by(SHOP, metric), draw_scores()
    row_metric = build_row_metric(use_case)
    assert row_metric.name == metric
    expected = compute_metrics(use_case, label, scores)[metric]
    assert row_metric.compute(label, scores).mean() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", ["accuracy", "brier", "log_loss"])
def test_calibrated_probabilities_lead_one_to_expect_the_metric(metric: str) -> None:
    label, scores = draw_scores(40_000)
    row_metric = build_row_metric(judge_by(SHOP, metric))
    assert row_metric.expect is not None
    error = row_metric.compute(label, scores).mean() - row_metric.expect(scores).mean()
    assert abs(error) < 0.01


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "balanced_accuracy"])
def test_a_metric_that_is_no_mean_of_rows_is_stood_for_by_the_log_loss(metric: str) -> None:
    row_metric = build_row_metric(judge_by(SHOP, metric))
    assert (row_metric.name, row_metric.less_is_better) == ("log_loss", True)


def test_numbers_are_measured_in_their_own_spread() -> None:
    label, scores = np.array([0.0, 10.0, 20.0]), Predictions(np.array([5.0, 10.0, 10.0]), None)
    assert build_row_metric(BASKET, 10.0).compute(label, scores).tolist() == [0.5, 0.0, 1.0]
    squared = build_row_metric(judge_by(BASKET, "rmse"), 10.0)
    assert (squared.name, squared.less_is_better, squared.expect) == ("squared error", True, None)
    assert squared.compute(label, scores).tolist() == [0.25, 0.0, 1.0]
