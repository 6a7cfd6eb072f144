"""Plots: curves, dots and boxes over a pair of axes, with their legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evergreen.pages.axis import Axis
from evergreen.pages.colours import GREEN, INK, LINE, PALE, SOFT
from evergreen.pages.drawing import (
    SMALL_SIZE,
    TEXT_SIZE,
    Anchor,
    Drawing,
    draw_text,
    estimate_width,
    group_texts,
)

Point = tuple[float, float]
Place = Callable[[float], float]

_RIGHT = 14
_TURN = 35  # degrees by which names along the x axis are turned where they do not fit otherwise
_MOST_NAME_WIDTH = 110
# A line's points that lie closer to its neighbours' connection than this, in pixels, are left out.
_TOLERANCE = 0.25


@dataclass(frozen=True)
class Curve:
    """Points (x, y) of one colour: joined by a line, or loose dots, full or hollow.

    Points that are not finite are left out. A curve without a name is not in the legend. `opacity` below 1
    shows how densely dots lie.
    """

    name: str
    points: Sequence[Point]
    tint: str = GREEN
    line: bool = True
    dots: bool = True
    hollow: bool = False
    size: float = 8
    opacity: float = 1.0


@dataclass(frozen=True)
class Box:
    """A filled box from (left, bottom) to (right, top) in the units of the axes: a column of a histogram."""

    left: float
    right: float
    bottom: float
    top: float
    tint: str = PALE


@dataclass(frozen=True)
class Guide:
    """A thin line from `start` to `end` in the units of the axes, dotted unless `solid`."""

    start: Point
    end: Point
    tint: str = SOFT
    solid: bool = False


@dataclass(frozen=True)
class Band:
    """The area between two values at each place (x, low, high), see-through: an interval along a curve."""

    points: Sequence[tuple[float, float, float]]
    tint: str = GREEN


@dataclass(frozen=True)
class Remark:
    """A short text beside a point in the units of the axes, moved by `shift` pixels to the right and down."""

    text: str
    at: Point
    shift: Point = (7, 4)
    anchor: Anchor = "start"


@dataclass(frozen=True)
class _Frame:
    """Where the area between the axes lies on the drawing, in pixels."""

    left: float
    right: float
    top: float
    bottom: float


def draw_plot(
    x: Axis,
    y: Axis,
    curves: Sequence[Curve] = (),
    *,
    boxes: Sequence[Box] = (),
    bands: Sequence[Band] = (),
    guides: Sequence[Guide] = (),
    remarks: Sequence[Remark] = (),
    width: float = 500,
    height: float = 290,
    left: float | None = None,
    legend: bool = True,
    x_labels: bool = True,
    y_labels: bool = True,
) -> Drawing:
    """Curves, bands and boxes over a pair of axes.

    `height` is that of the area between the axes with the labels below it; titles, the lines of the legend
    and slanted names below the x axis add to it. `left` is the room for the labels of the y axis, by which
    plots below each other are aligned (see `measure_left`). Without `x_labels` or `y_labels` an axis has
    neither labels nor title.
    """
    left = measure_left(y) if left is None else left
    if not y_labels:
        left = 8.0
    keys = [curve for curve in curves if curve.name] if legend else []
    lines = _arrange_legend(keys, width - left - _RIGHT)
    head = 18 if y.title else 0
    top = 10.0 + head + 20 * len(lines)
    title = [draw_text(left, 14, y.title, width=width - left)] if y.title and y_labels else []
    right = width - _RIGHT
    slanted = x_labels and _needs_slanting(x, right - left)
    bottom = top + height - 52
    frame = _Frame(left, right, top, bottom)

    def place_x(value: float) -> float:
        """The pixel of a value on the x axis."""
        return left + x.locate(value) * (right - left)

    def place_y(value: float) -> float:
        """The pixel of a value on the y axis."""
        return bottom - y.locate(value) * (bottom - top)

    foot = 8.0
    parts = [*title, _draw_legend(lines, left, 14 + head)]
    parts.append(_draw_y_axis(y, place_y, frame, y_labels))
    if x_labels:
        text, room = _draw_x_labels(x, place_x, frame, slanted)
        parts.append(text)
        foot = 8 + room
        if x.title:
            foot += 16
            parts.append(draw_text(right, bottom + foot, x.title, anchor="end", width=width - 8))
            foot += 6
    parts += [_draw_box(box, place_x, place_y) for box in boxes]
    parts += [_draw_band(band, place_x, place_y) for band in bands]
    parts += [_draw_guide(guide, place_x, place_y) for guide in guides]
    for curve in curves:
        points = [(a, b) for a, b in curve.points if math.isfinite(a) and math.isfinite(b)]
        parts.append(_draw_curve(curve, [(place_x(a), place_y(b)) for a, b in points]))
    parts += [_draw_remark(remark, place_x, place_y) for remark in remarks]
    label = f"{y.title or 'values'} by {x.title or 'place'}"
    return Drawing(width, bottom + foot, "".join(parts), label)


def measure_left(y: Axis) -> float:
    """The room that the labels of a y axis take, in pixels."""
    return max([38.0, *(estimate_width(label) + 14 for _, label in y.ticks)])


def _arrange_legend(curves: Sequence[Curve], width: float) -> list[list[tuple[float, Curve]]]:
    """The entries of the legend with the pixels before each, in as many lines as they need."""
    lines: list[list[tuple[float, Curve]]] = []
    at = 0.0
    for curve in curves:
        wide = estimate_width(curve.name) + 36
        if not lines or (at + wide > width and lines[-1]):
            lines.append([])
            at = 0.0
        lines[-1].append((at, curve))
        at += wide
    return lines


def _draw_legend(lines: Sequence[Sequence[tuple[float, Curve]]], left: float, top: float) -> str:
    """A piece of each curve with its name, in lines from `top` on."""
    parts = []
    for number, line in enumerate(lines):
        y = top + 20 * number
        for at, curve in line:
            x = left + at
            points = [(x + 2, y - 4), (x + 16, y - 4)] if curve.line else [(x + 9, y - 4)]
            sample = Curve("", points, curve.tint, curve.line, not curve.line, curve.hollow, curve.size)
            parts += [_draw_curve(sample, points), draw_text(x + 22, y, curve.name)]
    return "".join(parts)


def _draw_y_axis(y: Axis, place: Place, frame: _Frame, labels: bool) -> str:
    """The grid lines at the ticks of the y axis, their labels, and the line of the x axis."""
    grid = "".join(f"M{frame.left:.1f} {place(mark):.1f}H{frame.right:.1f}" for mark, _ in y.ticks)
    texts = [draw_text(frame.left - 8, place(mark) + 4, label) for mark, label in (y.ticks if labels else ())]
    base = f"M{frame.left:.1f} {frame.bottom:.1f}H{frame.right:.1f}"
    return f'<path d="{grid}{base}" stroke="{LINE}" fill="none"/>{group_texts(texts, anchor="end")}'


def _needs_slanting(x: Axis, width: float) -> bool:
    """Whether neighbouring names of categories would run into each other."""
    if not x.categories or not x.ticks:
        return False
    room = width / (x.high - x.low) - 6
    return any(estimate_width(label) > room for _, label in x.ticks)


def _draw_x_labels(x: Axis, place: Place, frame: _Frame, slanted: bool) -> tuple[str, float]:
    """The labels below the x axis, and the height that they take."""
    if slanted:
        room = min(_MOST_NAME_WIDTH, max(estimate_width(label, SMALL_SIZE) for _, label in x.ticks))
        texts = [
            draw_text(
                *(place(mark) + 4, frame.bottom + 14, label),
                anchor="end",
                size=SMALL_SIZE,
                angle=-_TURN,
                width=room,
            )
            for mark, label in x.ticks
        ]
        return "".join(texts), 10 + room * math.sin(math.radians(_TURN))
    texts, end = [], -math.inf
    for mark, label in x.ticks:
        half = estimate_width(label) / 2
        if place(mark) - half < end + 4 or place(mark) + half > frame.right + _RIGHT:
            continue  # it would run into the label before it, or out of the drawing
        end = place(mark) + half
        texts.append(draw_text(place(mark), frame.bottom + 18, label))
    return group_texts(texts, anchor="middle"), 14


def _draw_box(box: Box, place_x: Place, place_y: Place) -> str:
    left, right = sorted((place_x(box.left), place_x(box.right)))
    top, bottom = sorted((place_y(box.bottom), place_y(box.top)))
    size = f'width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect x="{left:.1f}" y="{top:.1f}" {size} fill="{box.tint}"/>'


def _draw_band(band: Band, place_x: Place, place_y: Place) -> str:
    points = [point for point in band.points if all(map(math.isfinite, point))]
    if len(points) < 2:
        return ""
    edge = [(x, high) for x, _, high in points] + [(x, low) for x, low, _ in reversed(points)]
    path = "L".join(f"{place_x(x):.1f} {place_y(y):.1f}" for x, y in edge)
    return f'<path d="M{path}z" fill="{band.tint}" fill-opacity="0.18"/>'


def _draw_guide(guide: Guide, place_x: Place, place_y: Place) -> str:
    (x1, y1), (x2, y2) = guide.start, guide.end
    path = f"M{place_x(x1):.1f} {place_y(y1):.1f}L{place_x(x2):.1f} {place_y(y2):.1f}"
    dashes = "" if guide.solid else ' stroke-dasharray="4 4"'
    return f'<path d="{path}" stroke="{guide.tint}" fill="none"{dashes}/>'


def _draw_remark(remark: Remark, place_x: Place, place_y: Place) -> str:
    x, y = place_x(remark.at[0]) + remark.shift[0], place_y(remark.at[1]) + remark.shift[1]
    return draw_text(x, y, remark.text, anchor=remark.anchor, size=TEXT_SIZE, tint=INK)


def _draw_curve(curve: Curve, points: Sequence[Point]) -> str:
    """One path for the line and one for all dots: a drawing of a thousand trials stays small."""
    if not points:
        return ""
    parts = ""
    if curve.line:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in _thin_line(points))
        parts += (
            f'<path d="M{line}" fill="none" stroke="{curve.tint}" stroke-width="2" stroke-linejoin="round"/>'
        )
    return parts + draw_curve_dots(curve, points) if curve.dots else parts


def draw_curve_dots(curve: Curve, points: Sequence[Point]) -> str:
    """The dots of a curve at points in pixels."""
    if not points:
        return ""
    look = 'fill="none" stroke-linecap="round"'
    outer = f'{look} stroke-width="{curve.size:g}" stroke="{curve.tint}"'
    if curve.opacity < 1:  # each dot is an element, so that dots on top of each other are darker
        dots = "".join(f'<path d="M{x:.1f} {y:.1f}h0"/>' for x, y in points)
        return f'<g {outer} stroke-opacity="{curve.opacity:g}">{dots}</g>'
    dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
    drawing = f'<path d="{dots}" {outer}/>'
    if curve.hollow:
        drawing += f'<path d="{dots}" {look} stroke-width="{curve.size / 2:g}" stroke="white"/>'
    return drawing


def _thin_line(points: Sequence[Point]) -> list[Point]:
    """The points of a line without those that make no visible difference (Ramer, Douglas and Peucker)."""
    points = _drop_near_points(points)
    needed = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        farthest, distance = 0, _TOLERANCE
        for i in range(first + 1, last):
            away = _measure_distance(points[i], points[first], points[last])
            if away > distance:
                farthest, distance = i, away
        if farthest:
            needed.add(farthest)
            spans += [(first, farthest), (farthest, last)]
    return [points[i] for i in sorted(needed)]


def _drop_near_points(points: Sequence[Point]) -> Sequence[Point]:
    """The points without those that hardly move away from the one before; the last one stays."""
    distinct = [points[0]]
    for point in points[1:-1]:
        if math.dist(point, distinct[-1]) > _TOLERANCE:
            distinct.append(point)
    return [*distinct, points[-1]]


def _measure_distance(point: Point, start: Point, end: Point) -> float:
    """How far a point is from the straight line between two others."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = math.hypot(across, down)
    if length == 0:
        return math.hypot(point[0] - start[0], point[1] - start[1])
    return abs(across * (start[1] - point[1]) - (start[0] - point[0]) * down) / length
