"""Leakage: a warning where the score is nearly perfect, as when a feature holds the answer."""

from __future__ import annotations

from collections.abc import Mapping

from evergreen.model.judging.verdict import Check
from evergreen.training.judge.evaluation import Evaluation
from evergreen.usecase import UseCase

# For each metric that a gate may have, the metric that is looked at: one for which 1 is perfect, and which a
# model does not reach by predicting one class for every row.
_LEAKAGE_METRICS = {
    **{name: name for name in ("accuracy", "balanced_accuracy", "f1", "roc_auc", "pr_auc", "r2")},
    **dict.fromkeys(("precision", "recall", "log_loss", "brier", "calibration_error"), "roc_auc"),
    **dict.fromkeys(("mae", "rmse"), "r2"),
}
# A score of so much or more is nearly perfect ...
_NEARLY_PERFECT = 0.995
_NEARLY_PERFECT_R2 = 0.999
# ... if what it lacks to 1 is also no more than this share of what the guess lacks: where one class has 99 %
# of the rows, an accuracy of 0.995 is no sign of leakage.
_MOST_LEFT = 0.02
# The guess must get so many rows wrong (for regression: so many rows must be there). With fewer a perfect
# score may be chance: a model of ROC AUC 0.9 separates 5 rows of one class from 19 of the other without a
# fault in 7 % of all samples.
_FEWEST_ROWS = 5
# The warning names the fewest features that together have this share of the importance, and at most so many.
_CARRIED = 0.8
_MOST_NAMES = 3


def warn_of_leakage(use_case: UseCase, evaluation: Evaluation) -> Check | None:
    """A warning where the candidate is nearly perfect on the hold-out, with its most important features.

    Nearly perfect is a value of 0.995 (R² 0.999) or more that lacks at most a fiftieth of what the dummy
    baseline (the guess) lacks to 1; `_LEAKAGE_METRICS` says of which metric. None otherwise, and where there
    are too few rows or the evaluation does not have the figures. The share of a feature is that of its mean
    absolute SHAP value.
    """
    metric = _LEAKAGE_METRICS[use_case.gate.metric]
    value = evaluation.candidate.get(metric)
    guess = evaluation.metrics_of("dummy").get(metric)
    if value is None or guess is None or _count_telling_rows(use_case, evaluation) < _FEWEST_ROWS:
        return None
    least = _NEARLY_PERFECT_R2 if metric == "r2" else _NEARLY_PERFECT
    if value < least or 1.0 - value > _MOST_LEFT * (1.0 - min(guess, 1.0)):
        return None
    carriers = _find_dominant_features(evaluation.importance)
    reason = f"{metric} {value:.4f} is nearly perfect: may the answer be among the features?"
    if carriers:
        names = ", ".join(f"{name} ({share:.0%} of the importance)" for name, share in carriers)
        reason += f" The model rests on {names}: see that its value is known before the answer is"
    return Check("leakage", "warning", value, least, reason)


def _count_telling_rows(use_case: UseCase, evaluation: Evaluation) -> float:
    """The hold-out's rows that the guess gets wrong; all of them for regression."""
    rows = float(evaluation.holdout_rows)
    if not use_case.label.classes:
        return rows
    return round(rows * (1.0 - evaluation.metrics_of("dummy").get("accuracy", 1.0)), 6)


def _find_dominant_features(importance: Mapping[str, float]) -> list[tuple[str, float]]:
    """The most important features with their shares, until they have `_CARRIED` of the whole."""
    whole = sum(importance.values())
    features: list[tuple[str, float]] = []
    if not whole > 0.0:
        return features
    for name, value in sorted(importance.items(), key=lambda item: -item[1]):
        features.append((name, value / whole))
        if len(features) == _MOST_NAMES or sum(share for _, share in features) >= _CARRIED:
            break
    return features
