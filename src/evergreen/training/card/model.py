"""The section of the card about the model itself: calibration, importance of its inputs, learning curve."""

from __future__ import annotations

from evergreen.pages.model_charts.quality import draw_calibration, draw_importance, draw_learning_curve
from evergreen.pages.numbers import (
    choose_decimals,
    format_metric_name,
    format_number,
    format_value,
)
from evergreen.pages.page import render_facts, render_note, render_table
from evergreen.training.card.contestants import render_pair
from evergreen.training.card.evaluation_facts import CalibrationFacts, EvaluationFacts

_MOST_FEATURES = 20


def render_calibration(evaluation: EvaluationFacts) -> str:
    """How often answers of each confidence are right, and what the correction did."""
    calibration = evaluation.calibration
    if calibration is None:
        return ""
    chart = ""
    if calibration.bins_before or calibration.bins_after:
        chart = draw_calibration("", calibration.bins_before, calibration.bins_after).drawing.to_html()
    correction = render_facts(
        {
            "scale": format_number(calibration.scale) if calibration.scale is not None else None,
            "bias": format_value(list(calibration.bias[:20])) if calibration.bias else None,
        }
    )
    note = render_note(
        "On the dotted line the model is right as often as it says. The correction multiplies the raw scores"
        " by the scale and adds the bias of each class."
    )
    return render_pair(chart, note + _render_effect(calibration) + correction)


def _render_effect(calibration: CalibrationFacts) -> str:
    """The metrics before and after the correction, as a table."""
    before, after = calibration.before, calibration.after
    rows = []
    for name in dict.fromkeys([*before, *after]):
        places = choose_decimals(before.get(name), after.get(name))
        values = (format_number(metrics.get(name), places) for metrics in (before, after))
        rows.append((format_metric_name(name), *values))
    return render_table(("", "before", "after"), rows, numbers=(1, 2)) if rows else ""


def render_importance(evaluation: EvaluationFacts) -> str:
    """The features that move the prediction most."""
    importance = evaluation.importance
    if not importance:
        return ""
    picture = draw_importance("", importance, _MOST_FEATURES)
    rest = sorted(importance.values(), reverse=True)[_MOST_FEATURES:]
    more = f" The other {len(rest)} features together: {format_number(sum(rest))}." if rest else ""
    note = render_note(f"Mean |SHAP|: how far a feature moves the raw prediction, on average.{more}")
    return note + picture.drawing.to_html()


def render_learning_curve(evaluation: EvaluationFacts) -> str:
    """The gate's metric by number of training rows: would more data help?"""
    points = [
        each for each in evaluation.learning_curve if each.train is not None or each.holdout is not None
    ]
    if not points:
        return ""
    picture = draw_learning_curve(points, evaluation.metric or "metric")
    return render_pair(picture.drawing.to_html(), render_note(picture.note))
