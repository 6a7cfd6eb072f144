"""The quality of the answers over time: realised where outcomes are known, estimated where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from html import escape

from evergreen.pages.axis import build_number_axis
from evergreen.pages.charts import render_legend, render_stacked_bar
from evergreen.pages.colours import AMBER, BLUE, GREEN
from evergreen.pages.drawing import Drawing
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.feature_facts import FeatureFacts
from evergreen.pages.monitoring_parts.features import render_card
from evergreen.pages.monitoring_parts.two_widths import render_two_widths
from evergreen.pages.monitoring_parts.words import parse_iso_moment
from evergreen.pages.numbers import (
    format_metric_name,
    format_number,
    format_percent,
    shorten_text,
)
from evergreen.pages.page import Html, render_facts, render_note
from evergreen.pages.plot import Band, Curve, Guide, Remark, draw_plot
from evergreen.pages.time_axis import build_time_axis

_MOST_CLASSES = 12
# Stretches that lie farther apart than this many of their own length are not joined by a line.
_LONGEST_GAP = 3.0


@dataclass(frozen=True)
class _Point:
    """The metric over a stretch of time; `at` is its middle in seconds since 1970."""

    at: float
    length: float
    value: float
    low: float | None
    high: float | None
    version: int | None


def render_quality(facts: JsonReader) -> Html:
    """What is known of the quality, as a sentence, a chart and facts."""
    quality = facts.get_object("quality")
    if quality.is_empty:
        return render_note("The quality of the answers was not measured in this check.")
    metric = quality.get_text("metric") or "quality"
    lines = [_read_points(quality, "realised"), _read_points(quality, "estimated")]
    text = shorten_text(quality.get_text("reason") or "", 400)
    trust = shorten_text(quality.get_text("trust") or "", 400)
    parts = [f"<p>{_to_sentence(text)}</p>" if text else ""]
    if any(lines):
        parts.append(render_two_widths(partial(_draw_quality, quality, metric, lines)))
    parts.append(f"<p>{_to_sentence(trust)}</p>" if trust else "")
    parts.append(_render_facts(quality, metric))
    parts.append(
        render_note(
            "Realised: answers compared with outcomes that came since. Estimated: computed without outcomes"
            " from the model's own confidence; valid while only the inputs changed, and blind to a change"
            " in what follows from them. Shaded: 95 % intervals."
        )
    )
    return Html("".join(parts))


def render_answers(facts: JsonReader, prediction: FeatureFacts | None) -> Html:
    """The mix of the answers now, and against those on the hold-out."""
    numbers = facts.get_numbers("answers")
    parts = []
    if set(numbers) == {"mean"}:
        parts.append(f"<p>The mean answer is {format_number(numbers['mean'])}.</p>")
    elif numbers:
        ranked = sorted(numbers.items(), key=lambda item: -item[1])
        bars = {shorten_text(name, 40): min(1.0, max(0.0, share)) for name, share in ranked[:_MOST_CLASSES]}
        if len(ranked) > _MOST_CLASSES:
            bars[f"{len(ranked) - _MOST_CLASSES} other classes"] = sum(s for _, s in ranked[_MOST_CLASSES:])
        keys = [f"{name} {format_percent(share)}" for name, share in bars.items()]
        parts.append(render_stacked_bar(bars) + render_legend(keys))
    if prediction is not None and (prediction.bins or prediction.missing):
        card = render_card(replace(prediction, name="the answers"), facts.get_text("as_of"))
        parts.append(f'<div class="cards">{card}</div>')
        parts.append(
            render_note("The reference are the answers on the rows that judged the model (hold-out).")
        )
    return Html("".join(parts))


def _to_sentence(text: str) -> str:
    return escape(text[:1].upper() + text[1:].rstrip(".") + ".")


def _render_facts(quality: JsonReader, metric: str) -> Html:
    others = {
        format_metric_name(name): format_number(value)
        for name, value in quality.get_numbers("metrics").items()
        if name != metric
    }
    holdout = quality.get_number("holdout")
    orphans = quality.get_count("orphans")
    return render_facts(
        {
            f"{format_metric_name(metric)} on the hold-out": format_number(holdout)
            if holdout is not None
            else None,
            **others,
            "outcomes without a prediction": format_number(orphans) if orphans else None,
        }
    )


def _read_points(quality: JsonReader, name: str) -> list[_Point]:
    points = []
    for each in quality.get_objects(name):
        start, end = (parse_iso_moment(each.get_text(key)) for key in ("start", "end"))
        value = each.get_number("value")
        if start is None or end is None or value is None:
            continue
        low, high = each.get_number("low"), each.get_number("high")
        middle = (start.timestamp() + end.timestamp()) / 2
        length = max(1.0, end.timestamp() - start.timestamp())
        points.append(_Point(middle, length, value, low, high, each.get_count("version")))
    return sorted(points, key=lambda point: point.at)


def _draw_quality(
    quality: JsonReader, metric: str, lines: Sequence[Sequence[_Point]], width: float
) -> Drawing:
    points = [point for line in lines for point in line]
    low, high = (
        edge(point.at + side * point.length / 2 for point in points) for edge, side in ((min, -1), (max, 1))
    )
    x = build_time_axis(_to_moment(low), _to_moment(high), about=4 if width < 500 else 9)
    holdout = quality.get_number("holdout")
    values = [end for point in points for end in (point.low, point.value, point.high) if end is not None]
    values += [holdout] if holdout is not None else []
    y = build_number_axis(values, format_metric_name(metric), margin=0.12, about=5)
    curves: list[Curve] = []
    bands: list[Band] = []
    for line, name, tint in zip(lines, ("realised", "estimated"), (GREEN, BLUE), strict=True):
        for number, run in enumerate(_split_runs(line)):
            label = name if number == 0 else ""
            curves.append(Curve(label, [(each.at, each.value) for each in run], tint, size=6))
            ends = [
                (each.at, each.low, each.high)
                for each in run
                if each.low is not None and each.high is not None
            ]
            bands.append(Band(ends, tint))
    guides, remarks = [], []
    if holdout is not None:
        guides.append(Guide((x.low, holdout), (x.high, holdout)))
        remarks.append(Remark("hold-out", (x.low, holdout), (6, -5)))
    for at, version in _list_changes(lines):
        guides.append(Guide((at, y.low), (at, y.high), AMBER))
        remarks.append(Remark(f"v{version}", (at, y.high), (5, 12)))
    drawing = draw_plot(x, y, curves, bands=bands, guides=guides, remarks=remarks, width=width, height=280)
    return replace(drawing, label=f"{format_metric_name(metric)} over time, realised and estimated")


def _split_runs(line: Sequence[_Point]) -> list[list[_Point]]:
    """The points in runs without a gap that is longer than the stretches themselves allow."""
    runs: list[list[_Point]] = []
    for point in line:
        if runs and point.at - runs[-1][-1].at <= _LONGEST_GAP * max(point.length, runs[-1][-1].length):
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _list_changes(lines: Sequence[Sequence[_Point]]) -> list[tuple[float, int]]:
    """Where another version answered than before, and which."""
    versions = sorted(
        (point.at - point.length / 2, point.version)
        for line in lines
        for point in line
        if point.version is not None
    )
    changes: list[tuple[float, int]] = []
    newest = versions[0][1] if versions else 0
    for at, version in versions:
        if version > newest:
            changes.append((at, version))
            newest = version
    return changes


def _to_moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
