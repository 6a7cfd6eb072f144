"""The pictures that MLflow shows of a training, as PNG files, and what each is drawn of."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from evergreen.model.predictions import Predictions
from evergreen.training import plots
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS_PER_INCH = 110


def draw_answers(
    use_case: UseCase,
    tuned: Mapping[str, Any],
    label: np.ndarray,
    answers: Predictions,
    compared: Mapping[str, Any],
) -> dict[str, bytes]:
    """Pictures of the search and of the answers on the hold-out, by their file in the run.

    `tuned`: see `training.tuned`; `compared` has "slices" and "calibration" of the evaluation.
    """
    loss = "RMSE" if use_case.problem == "regression" else "log loss"
    made = {
        "plots/holdout.png": plots.truth_against_prediction(use_case, label, answers.predictions),
        "plots/training.png": plots.training_curve({**tuned["curve"], "loss": loss}),
        "search/history.png": plots.search_history(tuned["trials"]),
        "search/parameters.png": plots.search_parameters(tuned["trials"]),
    }
    if compared["slices"]:
        made["plots/slices.png"] = plots.slices(compared["slices"])
    if tuned["importance"]:
        made["search/importance.png"] = plots.search_importance(tuned["importance"])
    if calibration := compared["calibration"]:
        bins = calibration["bins_before"], calibration["bins"]
        made["plots/calibration.png"] = plots.calibration(use_case, *bins)
    if use_case.label.classes:
        made["plots/curves.png"] = plots.curves(use_case, label, answers)
    else:
        made["plots/residuals.png"] = plots.residuals(use_case, label, answers.predictions)
    return _render_pngs(made)


def draw_model(
    use_case: UseCase, importance: Mapping[str, float], curve: list[dict[str, Any]]
) -> dict[str, bytes]:
    """Pictures of the registered model's inputs and of the learning curve, by their file in the run."""
    made = {"plots/importance.png": plots.importance(use_case, importance)}
    if curve:
        made["plots/learning.png"] = plots.learning_curve(curve, use_case.gate.metric)
    return _render_pngs(made)


def _render_pngs(figures: Mapping[str, Figure]) -> dict[str, bytes]:
    found = {}
    for file, figure in figures.items():
        target = io.BytesIO()
        figure.savefig(target, dpi=_DOTS_PER_INCH)
        found[file] = target.getvalue()
    return found
