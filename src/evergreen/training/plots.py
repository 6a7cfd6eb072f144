"""Pictures for a run in MLflow. Matplotlib figures without its global state, drawn by Agg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREEN = "#2a7f4f"
_MOST_FEATURES = 25
_MOST_POINTS = 5_000


def truth_against_prediction(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    """A confusion matrix over the hold-out; for regression the predicted against the true values."""
    if use_case.problem == "regression":
        return _scatter(use_case, label, predictions)
    return _confusion(use_case, label, predictions)


def importance(use_case: UseCase, model: Any) -> Figure:
    """What the model's inputs contribute to its predictions (PredictionValuesChange, in percent)."""
    from matplotlib.figure import Figure

    values = np.asarray(model.get_feature_importance(), dtype=np.float64)
    order = np.argsort(values)[::-1][:_MOST_FEATURES][::-1]
    figure = Figure(figsize=(7, 0.28 * len(order) + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.barh([model.feature_names_[index] for index in order], values[order], color=_GREEN)
    axes.set_xlabel("importance (%)")
    axes.set_title(f"{use_case.title}: what the model looks at")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _confusion(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    from matplotlib.figure import Figure

    classes = use_case.label.classes
    counts = np.array([[np.sum((label == t) & (predictions == p)) for p in classes] for t in classes])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.1 * len(classes) + 2
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Greens", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{use_case.title}: hold-out")
    for row, column in np.ndindex(*counts.shape):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]:,}\n{share:.0%}",
            ha="center",
            va="center",
            color="white" if share > 0.55 else "black",
        )
    return figure


def _scatter(use_case: UseCase, label: np.ndarray, predictions: np.ndarray) -> Figure:
    from matplotlib.figure import Figure

    some = slice(None, None, max(1, len(label) // _MOST_POINTS))
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.scatter(label[some], predictions[some], s=6, alpha=0.4, color=_GREEN)
    low, high = float(min(label.min(), predictions.min())), float(max(label.max(), predictions.max()))
    axes.plot([low, high], [low, high], color="black", linewidth=0.8)
    axes.set_xlabel("true")
    axes.set_ylabel("predicted")
    axes.set_title(f"{use_case.title}: hold-out")
    return figure
