"""Pictures for a run in MLflow. Matplotlib figures without its global state, drawn by Agg."""

from evergreen.training.plots.answers import curves, residuals, truth_against_prediction
from evergreen.training.plots.model import calibration, importance, learning_curve, slices, training_curve
from evergreen.training.plots.search import search_history, search_importance, search_parameters

__all__ = [
    "calibration",
    "curves",
    "importance",
    "learning_curve",
    "residuals",
    "search_history",
    "search_importance",
    "search_parameters",
    "slices",
    "training_curve",
    "truth_against_prediction",
]
