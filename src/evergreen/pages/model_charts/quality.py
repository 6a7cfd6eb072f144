"""Charts of a model's quality: calibration, how it learned, what it looks at, how it serves each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import AMBER, BLUE, GREEN, INK, PALE, RED
from evergreen.pages.drawing import Drawing, Picture, arrange_in_grid, draw_notice, draw_text
from evergreen.pages.numbers import choose_decimals, format_metric_name, format_number, shorten_text
from evergreen.pages.plot import Box, Curve, Guide, Remark, draw_plot, measure_left
from evergreen.pages.rows import NamedValue, draw_bars, draw_dots

_MOST_FEATURES = 25
_MOST_GROUPS = 40
_MOST_BINS = 50


@dataclass(frozen=True)
class CalibrationBin:
    """Rows whose answers are about equally sure: mean confidence, share of right answers, number of rows."""

    confidence: float
    accuracy: float
    rows: float


@dataclass(frozen=True)
class TrainingCurve:
    """The loss after so many trees, on the rows that the trees were fitted on and on those that judge them.

    `best` is the number of trees that was kept, `loss` the loss's name.
    """

    trees: Sequence[float]
    train: Sequence[float]
    validation: Sequence[float]
    best: int | None
    loss: str


@dataclass(frozen=True)
class CurvePoint:
    """The metric of a model that was fitted on so many rows: on these rows and on the hold-out."""

    rows: float
    train: float | None
    holdout: float | None


@dataclass(frozen=True)
class GroupValue:
    """A group of the hold-out's rows; one that is not `judged` has too few rows. `value` is the metric's."""

    name: str
    rows: int
    judged: bool
    value: float | None


@dataclass(frozen=True)
class SliceValues:
    """The groups by one feature, with the value of one metric in each."""

    feature: str
    sensitive: bool
    metric: str
    groups: Sequence[GroupValue]


def draw_calibration(
    title: str, before: Sequence[CalibrationBin], after: Sequence[CalibrationBin]
) -> Picture:
    """How often answers of each confidence are right, before and after the correction, over a histogram."""
    title = f"{title}: is it as sure as it is right?"
    lines = [
        (name, [each for each in bins if each.rows and _is_finite(each)][:_MOST_BINS], tint)
        for name, bins, tint in (("before", before, AMBER), ("after", after, GREEN))
    ]
    bins = [each for _, line, _ in lines for each in line]
    if not bins:
        return Picture(title, draw_notice("No bin holds a row."))
    low = max(0.0, min(min(each.confidence, each.accuracy) for each in bins) - 0.06)
    x = build_number_axis([], "confidence of the answer", ends=(low, 1.03))
    y = build_number_axis([], "share of right answers", ends=(low, 1.03))
    curves = [
        Curve(f"{name} the correction", [(each.confidence, each.accuracy) for each in line], tint)
        for name, line, tint in lines
        if line
    ]
    present = [(line, tint) for _, line, tint in lines if line]
    wide = 0.84 * _measure_least_gap([each.confidence for each in present[-1][0]]) / len(present)
    boxes = []
    for number, (line, tint) in enumerate(present):
        shift = wide * (number - len(present) / 2)
        boxes += [
            Box(each.confidence + shift, each.confidence + shift + wide, 0.0, each.rows, tint)
            for each in line
        ]
    rows = build_number_axis([], "rows", ends=(0.0, 1.05 * max(each.rows for each in bins)), about=2)
    left = max(measure_left(y), measure_left(rows))
    upper = draw_plot(x, y, curves, guides=[Guide((low, low), (1.03, 1.03))], left=left, x_labels=False)
    lower = draw_plot(x, rows, boxes=boxes, left=left, height=130)
    note = "Points are bins of rows; on the dotted line confidence and truth agree."
    return Picture(title, arrange_in_grid([upper, lower], 1, gap=2), note)


def draw_training_curve(curve: TrainingCurve) -> Picture:
    """The loss by number of trees, with the number of trees that was kept marked."""
    title = "How the loss falls with the trees"
    if not curve.trees:
        return Picture(title, draw_notice("No curve was recorded."))
    lines = [
        Curve(name, list(zip(curve.trees, losses, strict=False)), tint, dots=False)
        for name, losses, tint in (("train", curve.train, PALE), ("validation", curve.validation, GREEN))
        if losses
    ]
    y = build_number_axis([loss for line in lines for _, loss in line.points], curve.loss, margin=0.08)
    x = build_number_axis(curve.trees, "trees", margin=0.02, whole=True)
    guides, remarks = [], []
    if curve.best is not None:
        best_loss = dict(zip(curve.trees, curve.validation, strict=False)).get(curve.best)
        text = f"best: {curve.best:,} trees"
        if best_loss is not None:
            text += f", {format_number(best_loss)}"
            lines.append(Curve("", [(curve.best, best_loss)], GREEN, line=False))
        guides.append(Guide((curve.best, y.low), (curve.best, y.high), INK))
        late = x.locate(curve.best) > 0.6
        remarks.append(
            Remark(text, (curve.best, y.high), (-7 if late else 7, 12), "end" if late else "start")
        )
    return Picture(title, draw_plot(x, y, lines, guides=guides, remarks=remarks, width=560, height=310))


def draw_learning_curve(points: Sequence[CurvePoint], metric: str) -> Picture:
    """The metric by number of training rows: would more data help?"""
    title = "Would more data help?"
    train = [(each.rows, each.train) for each in points if each.train is not None]
    holdout = [(each.rows, each.holdout) for each in points if each.holdout is not None]
    lines = (("training rows", train, PALE), ("hold-out", holdout, GREEN))
    curves = [Curve(name, line, tint) for name, line, tint in lines if line]
    if not curves:
        return Picture(title, draw_notice("No learning curve was measured."))
    x = build_number_axis(
        [], "training rows", ends=(0.0, 1.14 * max(at for curve in curves for at, _ in curve.points))
    )
    values = [value for curve in curves for _, value in curve.points]
    y = build_number_axis(values, format_metric_name(metric), margin=0.1)
    remarks = [Remark(format_number(curve.points[-1][1]), curve.points[-1]) for curve in curves]
    note = "Where the hold-out's line is still on its way, more rows would help."
    return Picture(title, draw_plot(x, y, curves, remarks=remarks, width=520), note)


def draw_importance(title: str, importance: Mapping[str, float], most: int = _MOST_FEATURES) -> Picture:
    """The features that move the prediction most: bars of mean |SHAP|, the greatest on top."""
    title = f"{title}: what the model looks at"
    ranked = sorted(importance.items(), key=lambda item: -item[1])
    if not ranked:
        return Picture(title, draw_notice("No importance was measured."))
    greatest = ranked[:most]
    places = max(0, choose_decimals(*(value for _, value in greatest)) - 1)
    rows = [
        NamedValue(
            shorten_text(name, 48),
            value,
            (format_number(value, places if round(value, places) else None),),
        )
        for name, value in greatest
    ]
    more = f"; the {len(greatest)} greatest of {len(ranked)} features" if len(ranked) > len(greatest) else ""
    note = f"Mean |SHAP|: how far a feature moves the raw prediction, on average{more}."
    return Picture(title, draw_bars(rows, "importance by feature"), note)


def draw_slices(slices: Sequence[SliceValues]) -> Picture:
    """The metric in each group of each slice; hollow where a group has too few rows to be judged."""
    title = "How well does it serve each group?"
    parts = [
        (each, drawing)
        for each in slices
        if (drawing := draw_slice_groups(each, width=560, most=_MOST_GROUPS)) is not None
    ]
    if not parts:
        return Picture(title, draw_notice("No slice was declared, or none has a value."))
    drawings = []
    for each, drawing in parts:
        name = shorten_text(each.feature, 60) + (" (sensitive)" if each.sensitive else "")
        heading = draw_text(0, 13, name, tint=RED if each.sensitive else BLUE, bold=True, width=560)
        drawings += [Drawing(560, 20, heading, each.feature), drawing]
    small = any(not group.judged for each, _ in parts for group in each.groups)
    return Picture(
        title, arrange_in_grid(drawings, 1, gap=8), "Hollow: too few rows to judge." if small else ""
    )


def draw_slice_groups(each: SliceValues, *, width: float = 400, most: int = 24) -> Drawing | None:
    """The groups of one slice as dots with their rows and value; None if no group has a value."""
    groups = [(group, group.value) for group in each.groups if group.value is not None][:most]
    if not groups:
        return None
    places = max(0, choose_decimals(*(value for _, value in groups)) - 1)
    rows = [
        NamedValue(
            shorten_text(group.name, 36),
            value,
            (format_number(group.rows), format_number(value, places)),
            pale=not group.judged,
        )
        for group, value in groups
    ]
    metric = format_metric_name(each.metric)
    label = f"{metric} by {each.feature}"
    return draw_dots(
        rows, label, width=width, tint=RED if each.sensitive else BLUE, headings=("rows", metric)
    )


def _is_finite(each: CalibrationBin) -> bool:
    return math.isfinite(each.confidence) and math.isfinite(each.accuracy)


def _measure_least_gap(places: Sequence[float]) -> float:
    """The distance of the nearest two, so that their bars do not overlap."""
    gaps = [right - left for left, right in pairwise(sorted(places)) if right > left]
    return max(0.01, min(gaps, default=0.1))
