"""Pictures for MLflow: each is drawn for every kind of problem, without a warning, and tells its numbers."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from evergreen.model.judging.metrics import compute_reliability_bins
from evergreen.model.predictions import Predictions
from evergreen.training import plots
from evergreen.usecase import UseCase

ROWS = 600
STRANGE = ("$5 to $10", "_hidden", "<b>")
MANY = tuple(f"class {n}" for n in range(30))


def drawn(figure: Figure) -> str:
    """All text of a figure that was rendered to a PNG without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target = io.BytesIO()
        figure.savefig(target)
    assert target.getvalue().startswith(b"\x89PNG")
    assert len(target.getvalue()) > 2_000
    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_visible())


def case(toy: UseCase, classes: tuple[str, ...]) -> UseCase:
    return replace(toy, label=replace(toy.label, classes=classes))


def answers(classes: tuple[str, ...]) -> tuple[np.ndarray, Predictions]:
    """Labels, and probabilities that know something of them."""
    rng = np.random.default_rng(1)
    names = np.array(classes, dtype=object)
    truth = rng.integers(0, len(classes), ROWS)
    weights = np.exp(rng.normal(size=(ROWS, len(classes))) + 2 * np.eye(len(classes))[truth])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return names[truth], Predictions(names[probabilities.argmax(axis=1)], probabilities)


def trials(count: int = 20) -> list[dict[str, Any]]:
    return [
        {
            "number": n,
            "state": ("complete", "pruned", "complete", "failed")[n % 4],
            "loss": None if n % 4 == 3 else (9.0 if n % 4 == 1 else 0.5 + math.sin(n) / 10),
            "params": {"depth": 4 + n % 3, "learning_rate": 0.003 * 1.3**n, "grow_policy": "ab"[n % 2]},
        }
        for n in range(count)
    ]


@pytest.mark.parametrize("classes", [("no", "yes"), STRANGE, MANY], ids=["two", "three", "many"])
def test_pictures_of_classes(toy_use_case: UseCase, classes: tuple[str, ...]) -> None:
    use_case = case(toy_use_case, classes)
    label, scores = answers(classes)
    told = drawn(plots.truth_against_prediction(use_case, label, scores.predictions))
    assert "600 rows" in told
    told = drawn(plots.curves(use_case, label, scores))
    assert "area under the ROC curve" in told
    assert ("8 with most rows" in told) == (classes is MANY)
    bins = compute_reliability_bins(use_case, label, scores)
    told = drawn(plots.calibration(use_case, bins, bins))
    assert "after the correction" in told


def test_a_binary_problem_has_the_curve_of_its_last_class(toy_use_case: UseCase) -> None:
    label, scores = answers(("no", "yes"))
    told = drawn(plots.curves(toy_use_case, label, scores))
    assert "yes" in told
    assert "no\n" not in told


def test_a_class_that_the_holdout_lacks_has_no_curve(toy_use_case: UseCase) -> None:
    use_case = case(toy_use_case, ("a", "b", "absent"))
    label, scores = answers(("a", "b", "absent"))
    rows = label != "absent"
    assert scores.probabilities is not None
    some = Predictions(scores.predictions[rows], scores.probabilities[rows])
    assert "absent" not in drawn(plots.curves(use_case, label[rows], some))
    none = Predictions(
        some.predictions[:1], some.probabilities[:1] if some.probabilities is not None else None
    )
    assert "single class" in drawn(plots.curves(use_case, label[rows][:1], none))


def test_pictures_of_numbers(toy_use_case: UseCase) -> None:
    use_case = case(toy_use_case, ())
    rng = np.random.default_rng(2)
    label = rng.gamma(3.0, 60_000.0, 20_000)
    label[3] = np.nan
    predictions = label * 0.9 + rng.normal(0, 20_000, len(label))
    assert "19,999 rows" in drawn(plots.truth_against_prediction(use_case, label, predictions))
    assert "19,999 rows" in drawn(plots.residuals(use_case, label, predictions))
    assert "A number is predicted" in drawn(plots.curves(use_case, label, Predictions(predictions, None)))
    constant = np.ones(50)
    drawn(plots.residuals(use_case, constant, constant))
    drawn(plots.truth_against_prediction(use_case, constant, constant))
    assert "No row" in drawn(plots.residuals(use_case, constant * np.nan, constant))


def test_importance_puts_the_greatest_on_top(toy_use_case: UseCase) -> None:
    figure = plots.importance(toy_use_case, {"small": 0.0004, "great": 0.61, "$middle$": 0.2})
    told = drawn(figure)
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["great", r"\$middle\$", "small"]
    assert {"0.610", "0.200", "0.0004"} <= set(told.split("\n"))
    many = {f"feature_{n}": 1.0 / (n + 1) for n in range(200)}
    assert "25 greatest of 200" in drawn(plots.importance(toy_use_case, many))
    drawn(plots.importance(toy_use_case, {"none": 0.0}))


def test_the_training_curve_marks_its_best() -> None:
    trees = list(range(1, 101))
    curve = {"trees": trees, "train": [1 / t for t in trees], "validation": [1 / t + 0.1 for t in trees]}
    assert "best: 80 trees, 0.1125" in drawn(plots.training_curve({**curve, "best": 80, "loss": "log loss"}))
    drawn(
        plots.training_curve({"trees": [1], "train": [0.5], "validation": [0.6], "best": 1, "loss": "RMSE"})
    )


def test_the_learning_curve_names_its_metric() -> None:
    points = [
        {"share": share, "rows": int(1000 * share), "train": 0.9, "holdout": 0.6 + share / 5}
        for share in (0.1, 0.5, 1.0)
    ]
    told = drawn(
        plots.learning_curve([*points, {"share": 1, "rows": 9, "train": 1, "holdout": None}], "roc_auc")
    )
    assert "ROC AUC" in told
    assert "0.8" in told.split("\n")


def test_slices_show_rows_and_who_is_judged() -> None:
    groups = [
        {"name": STRANGE[n % 3], "rows": 1000 * n + 5, "judged": n > 0, "values": {"accuracy": 0.8 + n / 100}}
        for n in range(5)
    ]
    unknown = {"name": "unknown", "rows": 1, "judged": False, "values": {"accuracy": None}}
    one = {"feature": "age", "sensitive": True, "metric": "accuracy", "groups": [*groups, unknown]}
    told = drawn(plots.slices([one, {**one, "sensitive": False, "groups": groups[:1]}]))
    assert "age (sensitive)" in told
    assert "0.820   2,005 rows" in told
    assert "too few rows" in told
    assert "unknown" not in told


def test_the_search_is_told() -> None:
    told = drawn(plots.search_history(trials()))
    assert "20 trials: 10 complete, 5 pruned, 5 failed." in told
    assert "upper edge" in told
    best = min((t for t in trials() if t["state"] == "complete"), key=lambda t: t["loss"])
    assert f"trial {best['number']}: " in told
    told = drawn(plots.search_parameters(trials()))
    assert {"depth", "learning_rate", "grow_policy"} <= set(told.split("\n"))
    assert "62.0%" in drawn(plots.search_importance({"depth": 0.62, "learning_rate": 0.38}))
    drawn(plots.search_history(trials(1)))
    drawn(plots.search_parameters(trials(1)))
    only_pruned = [{**trial, "state": "pruned"} for trial in trials(3)]
    drawn(plots.search_history(only_pruned))
    drawn(plots.search_parameters(only_pruned))


def test_nothing_to_draw_is_said(toy_use_case: UseCase) -> None:
    failed = [{"number": 1, "state": "failed", "loss": None, "params": {}}]
    for figure, word in (
        (plots.importance(toy_use_case, {}), "No importance"),
        (plots.calibration(toy_use_case, [], []), "No bin"),
        (plots.training_curve({}), "No curve"),
        (plots.learning_curve([], "accuracy"), "No learning curve"),
        (plots.slices([]), "No slice"),
        (plots.search_history(failed), "No trial"),
        (plots.search_parameters(failed), "No trial"),
        (plots.search_importance({}), "Too few trials"),
    ):
        assert word in drawn(figure)
