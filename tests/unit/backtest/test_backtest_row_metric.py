"""The metric of rows, and what probabilities lead one to expect of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evergreen.backtest.past.row_metric import build_row_metric
from evergreen.model.judging.metrics import compute_metrics
from evergreen.model.predict import decide_classes
from evergreen.model.predictions import Predictions
from evergreen.usecase import Gate
from support.shop_past import BASKET, SHOP


def draw_scores(rows: int) -> tuple[np.ndarray, Predictions]:
    rng = np.random.default_rng(2)
    chance = rng.uniform(0.01, 0.99, rows)
    label = np.where(rng.random(rows) < chance, "yes", "no").astype(object)
    return label, decide_classes(np.column_stack([1 - chance, chance]), ("no", "yes"))


@pytest.mark.parametrize(
    ("gate", "name", "less_is_better"),
    [
        ("accuracy", "accuracy", False),
        ("f1", "accuracy", False),
        ("roc_auc", "brier", True),
        ("log_loss", "log_loss", True),
    ],
)
def test_classes_are_judged_by_the_mean_next_to_the_gates_metric(
    gate: str, name: str, less_is_better: bool
) -> None:
    label, scores = draw_scores(400)
    metric = build_row_metric(replace(SHOP, gate=Gate(metric=gate)))
    assert (metric.name, metric.less_is_better) == (name, less_is_better)
    expected = compute_metrics(SHOP, label, scores)[name]
    assert metric.compute(label, scores).mean() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("gate", ["accuracy", "roc_auc", "log_loss"])
def test_calibrated_probabilities_lead_one_to_expect_the_metric(gate: str) -> None:
    label, scores = draw_scores(40_000)
    metric = build_row_metric(replace(SHOP, gate=Gate(metric=gate)))
    assert metric.expect is not None
    assert metric.compute(label, scores).mean() == pytest.approx(metric.expect(scores).mean(), abs=0.01)


def test_numbers_are_judged_by_their_error_in_units_of_their_spread() -> None:
    label, scores = np.array([0.0, 10.0, 20.0]), Predictions(np.array([5.0, 10.0, 10.0]), None)
    metric = build_row_metric(BASKET, 10.0)
    assert (metric.name, metric.less_is_better, metric.expect) == ("mae", True, None)
    assert metric.compute(label, scores).tolist() == [0.5, 0.0, 1.0]
