"""Time lines of a check: the PSI of the features that moved most, and the checks of the past month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from evergreen.pages.axis import Axis, build_logarithmic_axis, build_number_axis
from evergreen.pages.colours import COLOURS, PALE, SOFT
from evergreen.pages.drawing import Drawing, arrange_in_grid
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.feature_facts import FeatureFacts
from evergreen.pages.monitoring_parts.two_widths import render_two_widths
from evergreen.pages.monitoring_parts.words import (
    get_tint,
    parse_iso_moment,
    read_severity,
    render_badge,
)
from evergreen.pages.numbers import format_moment, format_number, parse_number, shorten_text
from evergreen.pages.page import Html, render_details, render_note, render_table
from evergreen.pages.plot import Box, Curve, Guide, Point, Remark, draw_plot, measure_left
from evergreen.pages.time_axis import build_time_axis

_MOST_LINES = 5
# Beyond so many times the limit PSI stands on a logarithmic scale.
_MOST_LIMITS = 12
# A limit below this one, or above its inverse, is not drawn.
_LEAST_LIMIT = 1e-6
_MOST_CHECKS = 120
_SPARK_WIDTH, _SPARK_HEIGHT = 120.0, 26.0


@dataclass(frozen=True)
class TimeLine:
    """The stretches of time of a document: their beginnings, and the end of the last one."""

    starts: tuple[datetime, ...]
    seconds: float
    rows: tuple[float, ...]

    @staticmethod
    def from_json(facts: JsonReader) -> TimeLine:
        """The time line of a document; without stretches where it has none or they are malformed."""
        moments = [parse_iso_moment(str(text)) for text in facts.get_list("periods")]
        starts = tuple(moment for moment in moments if moment is not None)
        seconds = facts.get_number("period_seconds") or 0.0
        if len(starts) != len(moments) or not seconds > 0:
            return TimeLine((), 0.0, ())
        rows = [parse_number(value) or 0.0 for value in facts.get_list("period_rows")]
        return TimeLine(starts, seconds, tuple(rows[: len(starts)]))

    @property
    def end(self) -> datetime:
        """The end of the last stretch."""
        return self.starts[-1] + timedelta(seconds=self.seconds)

    def locate(self, values: Sequence[float | None]) -> list[Point]:
        """The values in the middle of their stretches; those that are None are left out."""
        middle = self.seconds / 2
        pairs = zip(self.starts, values, strict=False)
        return [(start.timestamp() + middle, value) for start, value in pairs if value is not None]


def render_psi_lines(facts: JsonReader, features: Sequence[FeatureFacts]) -> Html:
    """PSI over time: the features that moved most, the limit, and when a training was decided."""
    line = TimeLine.from_json(facts)
    with_lines = [each for each in features if any(value is not None for value in each.timeline)]
    if not line.starts or not with_lines:
        return Html()
    selection = sorted(with_lines, key=_rank_by_last_value)[:_MOST_LINES]
    chart = render_two_widths(partial(_draw_psi_lines, line, selection, _list_retrains(facts)))
    count = len(with_lines)
    text = (
        f"The {len(selection)} of {count} features with the highest PSI at the end. "
        if count > len(selection)
        else ""
    )
    unit = "day" if line.seconds >= 86_400 else "hour"
    return Html(
        chart
        + render_note(
            f"{text}One point a {unit}; a point above the dotted limit counts as drift where it is also more"
            " than chance. Below: predictions in the same time."
        )
    )


def render_spark_line(feature: FeatureFacts) -> Html:
    """The feature's PSI over the periods as a small line, with the limit dotted."""
    points = [(n, value) for n, value in enumerate(feature.timeline) if value is not None]
    if len(points) < 2:
        return Html()
    most = max([feature.limit or 0.0, *(value for _, value in points)]) or 1.0
    step = (_SPARK_WIDTH - 4) / max(1, len(feature.timeline) - 1)

    def place_y(value: float) -> float:
        """The pixel of a PSI."""
        return _SPARK_HEIGHT - 2 - max(0.0, value) / most * (_SPARK_HEIGHT - 4)

    line = "L".join(f"{2 + n * step:.0f} {place_y(value):.1f}" for n, value in points)
    limit = ""
    if feature.limit:
        path = f"M0 {place_y(feature.limit):.1f}H{_SPARK_WIDTH:.0f}"
        limit = f'<path d="{path}" stroke="{SOFT}" stroke-dasharray="2 3"/>'
    body = f'{limit}<path d="M{line}" fill="none" stroke="{get_tint(feature.severity)}" stroke-width="1.5"/>'
    last = format_number(points[-1][1])
    drawing = Drawing(_SPARK_WIDTH, _SPARK_HEIGHT, body, f"PSI of {feature.name} over time, last {last}")
    return Html(drawing.to_html().replace('class="plot"', 'class="plot spark"', 1))


def render_checks(facts: JsonReader) -> Html:
    """The checks of the past month: when, what they said, what was decided."""
    checks = facts.get_objects("checks")[-_MOST_CHECKS:]
    if len(checks) < 2:
        return Html()
    rows = []
    for each in reversed(checks):
        retrain = each.get_flag("retrain")
        version = each.get_count("version")
        rows.append(
            (
                format_moment(each.get_text("as_of")),
                f"v{version}" if version is not None else None,
                render_badge(read_severity(each)),
                format_number(each.get_number("largest_psi")),
                None if retrain is None else "retrain" if retrain else "no",
                shorten_text(each.get_text("reason") or "", 240),
            )
        )
    table = render_table(
        ("check as of", "model", "drift", "largest PSI", "decided", "because"), rows, (3,), "checks-table"
    )
    return render_details(f"The last {len(checks)} checks", table)


def _rank_by_last_value(feature: FeatureFacts) -> tuple[float, str]:
    values = [value for value in feature.timeline if value is not None]
    return -values[-1], feature.name


def _list_retrains(facts: JsonReader) -> list[datetime]:
    moments = [
        parse_iso_moment(each.get_text("as_of"))
        for each in facts.get_objects("checks")
        if each.get_flag("retrain")
    ]
    return [moment for moment in moments if moment is not None]


def _draw_psi_lines(
    line: TimeLine, features: Sequence[FeatureFacts], retrains: Sequence[datetime], width: float
) -> Drawing:
    few = width < 500
    x = build_time_axis(line.starts[0], line.end, about=4 if few else 9)
    limits = sorted({each.limit for each in features if each.limit and _is_drawable(each.limit)})
    values = [value for each in features for value in each.timeline if value is not None]
    y = _build_psi_axis(values, limits)
    top = y.high
    rows = build_number_axis((), "predictions", ends=(0.0, 1.1 * max([1.0, *line.rows])), about=2)
    left = max(measure_left(y), measure_left(rows))
    curves = [
        Curve(shorten_text(each.name, 30), _raise_points(line.locate(each.timeline), y), COLOURS[n], size=4.5)
        for n, each in enumerate(features)
    ]
    guides = [Guide((x.low, limit), (x.high, limit)) for limit in limits]
    marks = [each for each in retrains if x.low <= each.timestamp() <= x.high]
    guides += [Guide((each.timestamp(), y.low), (each.timestamp(), top), SOFT) for each in marks]
    remarks = [Remark("retrain", (each.timestamp(), top), (-4, 12), "end") for each in marks[-1:]]
    remarks += [Remark(f"limit {format_number(limit)}", (x.low, limit), (6, -5)) for limit in limits[:1]]
    upper = draw_plot(
        x, y, curves, guides=guides, remarks=remarks, width=width, height=270, left=left, x_labels=False
    )
    lower = draw_plot(x, rows, boxes=_build_row_boxes(line), width=width, height=110, left=left)
    both = arrange_in_grid([upper, lower], 1, gap=2)
    names = ", ".join(each.name for each in features)
    return replace(both, label=f"PSI over time of {names}; predictions in the same time below")


def _is_drawable(limit: float) -> bool:
    """Whether a limit of the PSI is one that a policy may have; documents may be malformed."""
    return _LEAST_LIMIT <= limit <= 1.0 / _LEAST_LIMIT


def _build_psi_axis(values: Sequence[float], limits: Sequence[float]) -> Axis:
    """An axis from zero, or a logarithmic one where the greatest PSI would hide the limit."""
    top = 1.12 * max([*values, *limits, 1e-6])
    if limits and top > _MOST_LIMITS * limits[0]:
        return build_logarithmic_axis([limits[0] / 10, top], "PSI, on a logarithmic scale")
    return build_number_axis((), "PSI", ends=(0.0, top), about=5)


def _raise_points(points: Sequence[Point], y: Axis) -> Sequence[Point]:
    """The points, on a logarithmic axis with those that lie below its end put on it."""
    return [(at, max(value, y.low)) for at, value in points] if y.logarithmic else points


def _build_row_boxes(line: TimeLine) -> list[Box]:
    gap = 0.1 * line.seconds
    return [
        Box(start.timestamp() + gap, start.timestamp() + line.seconds - gap, 0.0, rows, PALE)
        for start, rows in zip(line.starts, line.rows, strict=False)
    ]
