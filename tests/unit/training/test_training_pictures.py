"""The pictures that MLflow keeps of a training: which there are, and the numbers that they are drawn from."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest

from evergreen.model.judging.metrics import compute_reliability_bins
from evergreen.model.predictions import Predictions
from evergreen.training.record.pictures import (
    draw_answers,
    draw_class_confusion,
    draw_curves_of_classes,
    draw_model,
)
from evergreen.usecase import UseCase

ROWS = 600
STRANGE = ("$5 to $10", "_hidden", "<b>")
MANY = tuple(f"class {n}" for n in range(30))
MOST_BYTES = 80_000


def read(svg: str | bytes) -> str:
    """All text of a small SVG file that is well-formed and has no number that is none."""
    text = svg if isinstance(svg, str) else svg.decode()
    assert len(text) < MOST_BYTES
    document = minidom.parseString(text)
    assert not document.getElementsByTagName("script")
    assert not re.search(r"nan|inf(?!er)", re.sub(r">[^<]*<", "><", text))
    return "\n".join(
        node.firstChild.data for node in document.getElementsByTagName("text") if node.firstChild is not None
    )


def with_classes(toy: UseCase, classes: tuple[str, ...]) -> UseCase:
    return replace(toy, label=replace(toy.label, classes=classes))


def answers(classes: tuple[str, ...]) -> tuple[np.ndarray, Predictions]:
    """Labels, and probabilities that know something of them."""
    rng = np.random.default_rng(1)
    names = np.array(classes, dtype=object)
    truth = rng.integers(0, len(classes), ROWS)
    weights = np.exp(rng.normal(size=(ROWS, len(classes))) + 2 * np.eye(len(classes))[truth])
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    return names[truth], Predictions(names[probabilities.argmax(axis=1)], probabilities)


def search_document(trials: int = 6, importance: bool = True) -> dict[str, Any]:
    trees = list(range(1, 101))
    return {
        "curve": {"trees": trees, "train": [1 / t for t in trees], "validation": [1 / t + 0.1 for t in trees]}
        | {"best": 80},
        "trials": [
            {"number": n, "state": "complete", "loss": 0.5 + n / 100, "params": {"depth": 4 + n % 3}}
            for n in range(trials)
        ],
        "importance": {"depth": 1.0} if importance else {},
    }


@pytest.mark.parametrize("classes", [("no", "yes"), STRANGE, MANY], ids=["two", "three", "many"])
def test_pictures_of_classes(toy_use_case: UseCase, classes: tuple[str, ...]) -> None:
    use_case = with_classes(toy_use_case, classes)
    label, scores = answers(classes)
    bins = [dict(each) for each in compute_reliability_bins(use_case, label, scores)]
    group = {"name": "<b>", "rows": ROWS, "judged": True, "values": {"accuracy": 0.8}}
    comparison = {
        "calibration": {"bins_before": bins, "bins": bins},
        "slices": [{"feature": "age", "sensitive": True, "metric": "accuracy", "groups": [group]}],
    }
    files = draw_answers(use_case, search_document(), label, scores, comparison)
    assert set(files) == {
        *(f"plots/{name}.svg" for name in ("holdout", "training", "slices", "calibration", "curves")),
        *(f"search/{name}.svg" for name in ("history", "parameters", "importance")),
    }
    texts = {file: read(picture) for file, picture in files.items()}
    assert "600 rows" in texts["plots/holdout.svg"]
    assert "area under the ROC curve" in texts["plots/curves.svg"]
    assert ("8 with most rows" in texts["plots/curves.svg"]) == (classes is MANY)
    assert "after the correction" in texts["plots/calibration.svg"]
    assert "age (sensitive)" in texts["plots/slices.svg"]
    assert "best: 80 trees, 0.1125" in texts["plots/training.svg"]
    assert files == draw_answers(use_case, search_document(), label, scores, comparison), "the same bytes"


def test_the_confusion_matrix_counts_rows_by_true_class(toy_use_case: UseCase) -> None:
    label = np.array(["no"] * 3 + ["yes"] * 5, dtype=object)
    predictions = np.array(["no", "no", "yes", *["yes"] * 5], dtype=object)
    lines = read(draw_class_confusion(toy_use_case, label, predictions).to_svg()).split("\n")
    assert "8 rows of the hold-out; colours and percentages by row." in lines
    assert [line for line in lines if re.fullmatch(r"\d+%?", line)] == [
        *("2", "67%", "1", "33%"),
        *("0", "0%", "5", "100%"),
    ]


def test_a_binary_problem_has_the_curve_of_its_last_class(toy_use_case: UseCase) -> None:
    label, scores = answers(("no", "yes"))
    text = read(draw_curves_of_classes(toy_use_case, label, scores).to_svg())
    assert " yes\n" in text
    assert " no\n" not in text


def test_a_class_that_the_holdout_lacks_has_no_curve(toy_use_case: UseCase) -> None:
    use_case = with_classes(toy_use_case, ("a", "b", "absent"))
    label, scores = answers(("a", "b", "absent"))
    rows = label != "absent"
    assert scores.probabilities is not None
    some = Predictions(scores.predictions[rows], scores.probabilities[rows])
    text = read(draw_curves_of_classes(use_case, label[rows], some).to_svg())
    assert "absent" not in text
    one = Predictions(
        some.predictions[:1], some.probabilities[:1] if some.probabilities is not None else None
    )
    assert "single class" in read(draw_curves_of_classes(use_case, label[rows][:1], one).to_svg())


def test_pictures_of_numbers(toy_use_case: UseCase) -> None:
    use_case = with_classes(toy_use_case, ())
    rng = np.random.default_rng(2)
    label = rng.gamma(3.0, 60_000.0, 20_000)
    label[3] = np.nan
    predictions = label * 0.9 + rng.normal(0, 20_000, len(label))
    files = draw_answers(
        use_case, search_document(importance=False), label, Predictions(predictions, None), {}
    )
    assert set(files) == {
        *(f"plots/{name}.svg" for name in ("holdout", "training", "residuals")),
        *(f"search/{name}.svg" for name in ("history", "parameters")),
    }
    assert "19,999 rows" in read(files["plots/holdout.svg"])
    assert "19,999 rows" in read(files["plots/residuals.svg"])
    assert "RMSE" in read(files["plots/training.svg"])
    nothing = draw_answers(use_case, {}, label * np.nan, Predictions(predictions, None), {})
    assert "No row" in read(nothing["plots/residuals.svg"])
    assert "No curve" in read(nothing["plots/training.svg"])


def test_pictures_of_the_registered_model(toy_use_case: UseCase) -> None:
    points = [
        {"share": share, "rows": int(1000 * share), "train": 0.9, "holdout": 0.6 + share / 5}
        for share in (0.1, 0.5, 1.0)
    ]
    files = draw_model(toy_use_case, {"small": 0.1, "great": 0.6}, points)
    assert set(files) == {"plots/importance.svg", "plots/learning.svg"}
    assert "ROC AUC" in read(files["plots/learning.svg"])
    assert set(draw_model(toy_use_case, {}, [])) == {"plots/importance.svg"}
