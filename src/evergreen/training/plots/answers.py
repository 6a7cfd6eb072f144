"""Pictures of a model's answers to the hold-out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.pages.colours import COLOURS, GREEN, INK, PALE, SOFT, choose_colour
from evergreen.pages.numbers import format_number
from evergreen.training.plots.style import figure, key, names, nothing, text, tidy
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from evergreen.model.predictions import Predictions

_MOST_POINTS = 5_000
_MOST_CURVES = 8
_MOST_NUMBERED = 14  # a confusion matrix of more classes shows colours only


def truth_against_prediction(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    """A confusion matrix over the hold-out; for regression the predicted against the true values."""
    if use_case.problem == "regression":
        return _scatter(use_case, label, predictions)
    return _confusion(use_case, label, predictions)


def residuals(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    """Regression: true minus predicted value, against the prediction, and how the differences spread."""
    title = f"{use_case.title}: what is left to explain"
    left = label - predictions
    fine = np.isfinite(left)
    if not fine.any():
        return nothing(title, "No row has both a true and a predicted value.")
    left, said = left[fine], predictions[fine]
    middle, (low, high) = np.median(left), np.quantile(left, (0.1, 0.9))
    made = figure(
        8.5,
        4.6,
        title,
        f"{len(left):,} rows; half of the residuals lie below {format_number(middle)}, eight of ten between"
        f" {format_number(low)} and {format_number(high)} (dotted).",
    )
    main, side = made.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    some = _some(len(left))
    tidy(main, "predicted", "residual (true − predicted)")
    main.locator_params(axis="x", nbins=7)
    main.scatter(said[some], left[some], s=9, alpha=0.35, color=GREEN, linewidths=0)
    tidy(side, "rows", grid="y").hist(left, bins=40, orientation="horizontal", color=PALE)
    side.locator_params(axis="x", nbins=3)
    for axes in (main, side):
        axes.axhline(0, color=INK, linewidth=0.9)
        for end in (low, high):
            axes.axhline(end, color=SOFT, linewidth=0.8, linestyle=":")
    return made


def curves(use_case: UseCase, label: np.ndarray, scores: Predictions) -> Figure:
    """ROC and precision-recall curves: of the last class, or of each class against the rest.

    Of many classes those with most rows are drawn. A class that the hold-out does not hold has no curve.
    """
    from sklearn import metrics as sk

    title = f"{use_case.title}: how well are the classes told apart?"
    classes = use_case.label.classes
    if scores.probabilities is None:
        return nothing(title, "A number is predicted, not a class.")
    truth = label.astype(str)
    counts = {name: int(np.sum(truth == name)) for name in classes}
    shown = classes[-1:] if len(classes) == 2 else classes
    drawn = [name for name in shown if 0 < counts[name] < len(truth)]
    drawn = sorted(sorted(drawn, key=lambda name: -counts[name])[:_MOST_CURVES], key=classes.index)
    if not drawn:
        return nothing(title, "The hold-out holds a single class.")
    rest = f"; of {len(shown)} classes the {len(drawn)} with most rows" if len(drawn) < len(shown) else ""
    made = figure(
        9.5, 5.6 + 0.11 * len(drawn), title, f"{len(truth):,} rows of the hold-out{rest}; dotted: a guess."
    )
    left, right = made.subplots(1, 2)
    tidy(left, "false positive rate", "true positive rate")
    tidy(right, "recall", "precision")
    left.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=":")
    for name in drawn:
        place = classes.index(name)
        positive, chance = truth == name, scores.probabilities[:, place]
        false, true, _ = sk.roc_curve(positive, chance)
        precision, recall, _ = sk.precision_recall_curve(positive, chance, drop_intermediate=True)
        tint = choose_colour(
            place if len(classes) <= len(COLOURS) and len(classes) > 2 else drawn.index(name)
        )
        area, average = sk.auc(false, true), sk.average_precision_score(positive, chance)
        left.plot(false, true, color=tint, linewidth=1.8, label=f"{area:.3f}  {text(name, 24)}")
        right.plot(recall, precision, color=tint, linewidth=1.8, label=f"{average:.3f}  {text(name, 24)}")
        right.axhline(counts[name] / len(truth), color=tint, linewidth=0.9, linestyle=":")
    below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -0.13), "ncols": 1 + (len(drawn) > 3)}
    key(left, title="area under the ROC curve", **below)
    key(right, title="average precision", **below)
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        axes.get_legend().get_title().set(fontsize=9, color=SOFT)
        axes.get_legend().set_alignment("left")
    return made


def _confusion(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    classes = use_case.label.classes
    truth, said = label.astype(str), predictions.astype(str)
    counts = np.array([[np.sum((truth == t) & (said == p)) for p in classes] for t in classes])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    numbered = len(classes) <= _MOST_NUMBERED
    side = min(10.0, (0.85 if numbered else 0.22) * len(classes))
    made = figure(
        max(5.5, side + 3.2),
        max(3.4, side + 2.1),
        f"{use_case.title}: true and predicted",
        f"{counts.sum():,} rows of the hold-out; colours and percentages by row.",
    )
    axes = tidy(made.subplots(), "predicted", "true", grid=None)
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    longest = max(len(name) for name in classes)
    names(axes, "x", classes, 18)
    names(axes, "y", classes, 24)
    if not numbered or longest > 9:
        axes.tick_params(axis="x", labelrotation=90 if not numbered else 30)
    if numbered:
        _write_counts(axes, counts, shares)
    return made


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in np.ndindex(*counts.shape):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.0%}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if share > 0.55 else INK,
        )


def _scatter(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    title = f"{use_case.title}: true and predicted"
    fine = np.isfinite(label) & np.isfinite(predictions)
    if not fine.any():
        return nothing(title, "No row has both a true and a predicted value.")
    label, predictions = label[fine], predictions[fine]
    some = _some(len(label))
    made = figure(5.6, 5.9, title, f"{len(label):,} rows of the hold-out; on the line: exactly right.")
    axes = tidy(made.subplots(), "true", "predicted")
    axes.scatter(label[some], predictions[some], s=9, alpha=0.35, color=GREEN, linewidths=0)
    low, high = float(min(label.min(), predictions.min())), float(max(label.max(), predictions.max()))
    axes.plot([low, high], [low, high], color=INK, linewidth=0.9)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=5)
    return made


def _some(rows: int) -> slice:
    """Every n-th row, so that no more are drawn than can be seen."""
    return slice(None, None, -(-rows // _MOST_POINTS) or 1)
