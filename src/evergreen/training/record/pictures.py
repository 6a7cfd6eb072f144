"""The pictures that MLflow shows of a training, as SVG files, and the numbers that each is drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from evergreen.model.predictions import Predictions
from evergreen.pages.drawing import Picture
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.model_charts.answers import (
    ClassCurves,
    draw_class_curves,
    draw_confusion,
    draw_residuals,
    draw_true_and_predicted,
)
from evergreen.pages.model_charts.quality import (
    TrainingCurve,
    draw_calibration,
    draw_importance,
    draw_learning_curve,
    draw_slices,
    draw_training_curve,
)
from evergreen.pages.model_charts.search import (
    draw_search_history,
    draw_search_importance,
    draw_search_parameters,
)
from evergreen.training.card.evaluation_facts import CalibrationFacts, SliceFacts, read_learning_curve
from evergreen.training.card.search_facts import SearchFacts
from evergreen.usecase import UseCase

# A curve over millions of rows has as many points; no more are kept than can be told apart.
_CURVE_CELLS = 1_000
_MOST_CURVES = 8  # of many classes those with most rows have ROC and precision-recall curves


def draw_answers(
    use_case: UseCase, search: object, label: np.ndarray, answers: Predictions, comparison: object
) -> dict[str, bytes]:
    """Pictures of the search and of the answers on the hold-out, by their file in the run.

    `search` is the JSON document of the search (`training.search.search_result`), `comparison` that of the
    evaluation, of which "slices" and "calibration" are read. `label`, of shape (n,): class names or numbers.
    """
    search_reader, evaluation = JsonReader(search), JsonReader(comparison)
    facts = SearchFacts.from_json(search_reader)
    pictures = {
        "plots/training.svg": draw_training_curve(_read_training_curve(use_case, search_reader)),
        "search/history.svg": draw_search_history(facts.losses),
        "search/parameters.svg": draw_search_parameters(facts.losses),
    }
    if facts.importance:
        pictures["search/importance.svg"] = draw_search_importance(facts.importance)
    if slices := [SliceFacts.from_json(each) for each in evaluation.get_objects("slices")]:
        pictures["plots/slices.svg"] = draw_slices([each.chart_values for each in slices])
    if calibration := CalibrationFacts.from_json(evaluation.get_object("calibration")):
        pictures["plots/calibration.svg"] = draw_calibration(
            use_case.title, calibration.bins_before, calibration.bins_after
        )
    if use_case.label.classes:
        pictures["plots/holdout.svg"] = draw_class_confusion(use_case, label, answers.predictions)
        pictures["plots/curves.svg"] = draw_curves_of_classes(use_case, label, answers)
    else:
        truth = label.astype(np.float64).tolist()
        predictions = answers.predictions.astype(np.float64).tolist()
        pictures["plots/holdout.svg"] = draw_true_and_predicted(use_case.title, truth, predictions)
        pictures["plots/residuals.svg"] = draw_residuals(use_case.title, truth, predictions)
    return _encode_pictures(pictures)


def draw_model(use_case: UseCase, importance: Mapping[str, float], curve: object) -> dict[str, bytes]:
    """Pictures of the registered model's inputs and of the learning curve, by their file in the run.

    `curve` is a list of points, as the evaluation's "learning_curve" holds them.
    """
    pictures = {"plots/importance.svg": draw_importance(use_case.title, importance)}
    if points := read_learning_curve(JsonReader({"learning_curve": curve})):
        pictures["plots/learning.svg"] = draw_learning_curve(points, use_case.gate.metric)
    return _encode_pictures(pictures)


def draw_class_confusion(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Picture:
    """The confusion matrix over the hold-out; both arrays, of shape (n,), hold class names."""
    classes = use_case.label.classes
    numbers = {name: number for number, name in enumerate(classes)}
    counts = [[0] * len(classes) for _ in classes]
    pairs = Counter(zip(label.astype(str).tolist(), predictions.astype(str).tolist(), strict=True))
    for (true, predicted), rows in pairs.items():
        if true in numbers and predicted in numbers:
            counts[numbers[true]][numbers[predicted]] = rows
    return draw_confusion(use_case.title, classes, counts)


def draw_curves_of_classes(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Picture:
    """ROC and precision-recall curves: of two classes for the last, else for each class against the rest.

    A class that no row, or every row of the hold-out has, has no curve.
    """
    # Loaded while models are fitted (see `training.library_loading`): this module is imported before that.
    from sklearn import metrics

    classes = use_case.label.classes
    truth = label.astype(str)
    counts = {name: int(np.sum(truth == name)) for name in classes}
    candidates = classes[-1:] if len(classes) == 2 else classes
    eligible = [name for name in candidates if 0 < counts[name] < len(truth)]
    # Equally frequent classes by name, so that the order of rows decides nothing.
    frequent = sorted(sorted(eligible), key=lambda name: -counts[name])[:_MOST_CURVES]
    curves = []
    for name in sorted(frequent, key=classes.index) if scores.probabilities is not None else ():
        assert scores.probabilities is not None
        place = classes.index(name)
        positive, chance = truth == name, scores.probabilities[:, place]
        false_rate, true_rate, _ = metrics.roc_curve(positive, chance)
        precision, recall, _ = metrics.precision_recall_curve(positive, chance, drop_intermediate=True)
        curves.append(
            ClassCurves(
                name=name,
                place=place,
                share=counts[name] / len(truth),
                roc=_list_points(false_rate, true_rate),
                precision_recall=_list_points(recall, precision),
                area=float(metrics.auc(false_rate, true_rate)),
                average_precision=float(metrics.average_precision_score(positive, chance)),
            )
        )
    return draw_class_curves(use_case.title, curves, len(classes), len(truth))


def _list_points(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """The points of a curve in the unit square, without those that are not a thousandth away from others."""
    cells = np.round(np.column_stack([x, y]) * _CURVE_CELLS)
    moves = np.any(np.diff(cells, axis=0) != 0, axis=1)
    places = np.unique([0, *(np.flatnonzero(moves) + 1), len(x) - 1])
    return list(zip(x[places].tolist(), y[places].tolist(), strict=True))


def _read_training_curve(use_case: UseCase, search: JsonReader) -> TrainingCurve:
    curve = search.get_object("curve")
    return TrainingCurve(
        trees=curve.get_number_list("trees"),
        train=curve.get_number_list("train"),
        validation=curve.get_number_list("validation"),
        best=curve.get_count("best"),
        loss="RMSE" if use_case.problem == "regression" else "log loss",
    )


def _encode_pictures(pictures: Mapping[str, Picture]) -> dict[str, bytes]:
    return {file: picture.to_svg().encode() for file, picture in pictures.items()}
