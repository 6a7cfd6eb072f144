"""A score that is too good: does a feature tell the answer?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evergreen.model.judging.verdict import Check
from evergreen.usecase import UseCase

# The metric that shows how near to perfect a model is, by the gate's: those of them for which 1 is perfect,
# and which a model does not reach by saying one class to everything.
_LEAKAGE_METRICS = {
    **{name: name for name in ("accuracy", "balanced_accuracy", "f1", "roc_auc", "pr_auc", "r2")},
    **dict.fromkeys(("precision", "recall", "log_loss", "brier", "calibration_error"), "roc_auc"),
    **dict.fromkeys(("mae", "rmse"), "r2"),
}
# From here on a score is nearly perfect ...
_NEARLY_PERFECT = 0.995
_NEARLY_PERFECT_R2 = 0.999
# ... if it also leaves no more than this share of what a guess lacks: where one class has 99 % of the rows,
# an accuracy of 0.995 is nothing.
_MOST_LEFT = 0.02
# Rows that a guess must get wrong (for numbers: rows) before a perfect score says anything. An honest model
# of ROC AUC 0.9 tells 5 rows of one class and 19 of the other apart without a fault in 7 % of all samples.
_FEWEST_ROWS = 5
# The features named are the fewest that carry this share of the importance, and at most so many.
_CARRIED = 0.8
_MOST_NAMES = 3


def warn_of_leakage(use_case: UseCase, evaluation: Mapping[str, Any]) -> Check | None:
    """A warning where the candidate is nearly perfect on the hold-out, with the features that carry it.

    Nearly perfect is a value of 0.995 (R² 0.999) or more that lacks at most a fiftieth of what the guess
    lacks to 1; `_LEAKAGE_METRICS` says of which metric. Too few rows to tell give no warning, nor do figures
    that the evaluation does not have. The share of a feature is that of its mean absolute SHAP value.
    """
    metric = _LEAKAGE_METRICS[use_case.gate.metric]
    value = evaluation["candidate"].get(metric)
    guess = evaluation["dummy"].get(metric)
    if value is None or guess is None or _judged_rows(use_case, evaluation) < _FEWEST_ROWS:
        return None
    least = _NEARLY_PERFECT_R2 if metric == "r2" else _NEARLY_PERFECT
    if value < least or 1.0 - value > _MOST_LEFT * (1.0 - min(guess, 1.0)):
        return None
    carriers = _find_dominant_features(evaluation.get("importance") or {})
    told = f"{metric} {value:.4f} is nearly perfect: may the answer be among the features?"
    if carriers:
        names = ", ".join(f"{name} ({share:.0%} of the importance)" for name, share in carriers)
        told += f" The model rests on {names}: see that its value is known before the answer is"
    return Check("leakage", "warning", value, least, told)


def _judged_rows(use_case: UseCase, evaluation: Mapping[str, Any]) -> float:
    """The hold-out's rows that a guess gets wrong; all of them for numbers."""
    rows = float(evaluation.get("holdout_rows") or 0)
    if not use_case.label.classes:
        return rows
    return round(rows * (1.0 - float(evaluation["dummy"].get("accuracy", 1.0))), 6)


def _find_dominant_features(importance: Mapping[str, float]) -> list[tuple[str, float]]:
    """The most important features with their shares, until they carry most of the whole."""
    whole = sum(importance.values())
    found: list[tuple[str, float]] = []
    if not whole > 0.0:
        return found
    for name, value in sorted(importance.items(), key=lambda item: -item[1]):
        found.append((name, value / whole))
        if len(found) == _MOST_NAMES or sum(share for _, share in found) >= _CARRIED:
            break
    return found
