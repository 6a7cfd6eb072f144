"""Charts of a model's answers to rows whose truth is known: the hold-out of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evergreen.pages.axis import build_number_axis
from evergreen.pages.colours import COLOURS, GREEN, INK, PALE, choose_colour
from evergreen.pages.drawing import Picture, arrange_in_grid, draw_notice
from evergreen.pages.matrix import draw_confusion_matrix
from evergreen.pages.numbers import format_number, shorten_text
from evergreen.pages.plot import Box, Curve, Guide, Point, draw_plot

_MOST_POINTS = 2_000
_RESIDUAL_BINS = 40
_NO_ROW = "No row has both a true and a predicted value."


@dataclass(frozen=True)
class ClassCurves:
    """How well one class is told from the rest.

    `place` is the class's place among all classes, which decides its colour; `share` is that of its rows in
    the hold-out. `roc`: points (false positive rate, true positive rate); `precision_recall`: points (recall,
    precision); `area` under the former, `average_precision` of the latter.
    """

    name: str
    place: int
    share: float
    roc: Sequence[Point]
    precision_recall: Sequence[Point]
    area: float
    average_precision: float


def draw_confusion(title: str, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> Picture:
    """The confusion matrix: `counts[i][j]` rows of class i were predicted as class j."""
    total = sum(map(sum, counts))
    note = f"{total:,} rows of the hold-out; colours and percentages by row."
    return Picture(f"{title}: true and predicted", draw_confusion_matrix(classes, counts), note)


def draw_true_and_predicted(title: str, truth: Sequence[float], predictions: Sequence[float]) -> Picture:
    """Regression: the predicted against the true values."""
    title = f"{title}: true and predicted"
    points = _list_finite_points(truth, predictions)
    if not points:
        return Picture(title, draw_notice(_NO_ROW))
    ends = [end for point in points for end in point]
    x, y = build_number_axis(ends, "true"), build_number_axis(ends, "predicted")
    diagonal = Guide((x.low, x.low), (x.high, x.high), INK, solid=True)
    dots = Curve("", _thin_out(points), GREEN, line=False, size=5, opacity=0.4)
    drawing = draw_plot(x, y, [dots], guides=[diagonal], width=460, height=440)
    return Picture(title, drawing, f"{len(points):,} rows of the hold-out; on the line: exactly right.")


def draw_residuals(title: str, truth: Sequence[float], predictions: Sequence[float]) -> Picture:
    """Regression: true minus predicted value, against the prediction, and how the differences spread."""
    title = f"{title}: what is left to explain"
    points = [(said, true - said) for true, said in _list_finite_points(truth, predictions)]
    if not points:
        return Picture(title, draw_notice(_NO_ROW))
    residuals = sorted(residual for _, residual in points)
    low, middle, high = (_compute_quantile(residuals, share) for share in (0.1, 0.5, 0.9))
    x = build_number_axis([said for said, _ in points], "predicted")
    y = build_number_axis(residuals, "residual (true − predicted)")
    boxes = _build_histogram(residuals)
    rows = build_number_axis([], "rows", ends=(0.0, 1.08 * max(box.right for box in boxes)), about=2)
    dots = Curve("", _thin_out(points), GREEN, line=False, size=5, opacity=0.4)
    main, side = (
        draw_plot(
            axis,
            y,
            curves,
            boxes=bars,
            guides=[
                Guide((axis.low, 0.0), (axis.high, 0.0), INK, solid=True),
                *(Guide((axis.low, end), (axis.high, end)) for end in (low, high)),
            ],
            width=width,
            height=340,
            y_labels=axis is x,
        )
        for axis, curves, bars, width in ((x, [dots], [], 520), (rows, [], boxes, 170))
    )
    note = (
        f"{len(points):,} rows; half of the residuals lie below {format_number(middle)}, eight of ten between"
        f" {format_number(low)} and {format_number(high)} (dotted)."
    )
    return Picture(title, arrange_in_grid([main, side], 2, gap=6), note)


def draw_class_curves(title: str, curves: Sequence[ClassCurves], classes: int, rows: int) -> Picture:
    """ROC and precision-recall curves of some of the `classes`, over `rows` rows of the hold-out."""
    title = f"{title}: how well are the classes told apart?"
    if not curves:
        return Picture(title, draw_notice("The hold-out holds a single class."))
    tints = [
        choose_colour(curve.place if 2 < classes <= len(COLOURS) else number)
        for number, curve in enumerate(curves)
    ]
    names = [shorten_text(curve.name, 24) for curve in curves]
    left = draw_plot(
        build_number_axis([], "false positive rate", ends=(0.0, 1.0)),
        build_number_axis([], "true positive rate", ends=(0.0, 1.0)),
        [
            Curve(f"{curve.area:.3f}  {name}", curve.roc, tint, dots=False)
            for curve, name, tint in zip(curves, names, tints, strict=True)
        ],
        guides=[Guide((0.0, 0.0), (1.0, 1.0))],
        width=430,
        height=400,
    )
    right = draw_plot(
        build_number_axis([], "recall", ends=(0.0, 1.0)),
        build_number_axis([], "precision", ends=(0.0, 1.0)),
        [
            Curve(f"{curve.average_precision:.3f}  {name}", curve.precision_recall, tint, dots=False)
            for curve, name, tint in zip(curves, names, tints, strict=True)
        ],
        guides=[
            Guide((0.0, curve.share), (1.0, curve.share), tint)
            for curve, tint in zip(curves, tints, strict=True)
        ],
        width=430,
        height=400,
    )
    eligible = 1 if classes == 2 else classes
    some = f"; of {eligible} classes the {len(curves)} with most rows" if len(curves) < eligible else ""
    note = (
        f"{rows:,} rows of the hold-out{some}. The numbers: area under the ROC curve (left),"
        " average precision (right). Dotted: a guess."
    )
    return Picture(title, arrange_in_grid([left, right], 2), note)


def _list_finite_points(truth: Sequence[float], predictions: Sequence[float]) -> list[Point]:
    pairs = zip(truth, predictions, strict=True)
    return [(true, said) for true, said in pairs if math.isfinite(true) and math.isfinite(said)]


def _thin_out(points: Sequence[Point]) -> Sequence[Point]:
    """Every n-th point, so that no more are drawn than can be seen."""
    return points[:: -(-len(points) // _MOST_POINTS)]


def _compute_quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of sorted values, linearly between the two nearest of them."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def _build_histogram(ordered: Sequence[float]) -> list[Box]:
    """How many of the sorted values lie in each of equal ranges, as boxes that lie on their side."""
    low, high = ordered[0], ordered[-1]
    step = (high - low) / _RESIDUAL_BINS or 1.0
    if high == low:
        low -= step / 2  # a single box around the only value
    counts = [0] * _RESIDUAL_BINS
    for value in ordered:
        counts[min(_RESIDUAL_BINS - 1, int((value - low) / step))] += 1
    gap = 0.08 * step
    return [
        Box(0.0, count, low + i * step + gap, low + (i + 1) * step - gap, PALE)
        for i, count in enumerate(counts)
        if count
    ]
