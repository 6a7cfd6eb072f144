"""The metrics beside champion and baselines, and whose answers would change."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.pages.charts import render_bar, render_dot, render_scale
from evergreen.pages.numbers import (
    choose_decimals,
    format_difference,
    format_number,
    format_percent,
    parse_number,
    shorten_text,
)
from evergreen.pages.page import Html, render_note, render_table
from evergreen.training.card.parts import (
    CONTESTANTS,
    TINTS,
    Facts,
    describe_contestant,
    get_interval,
    get_mapping,
    get_numbers,
    list_mappings,
)
from evergreen.training.plots.style import metric_name

_MOST_EXAMPLES = 12


def render_metrics(evaluation: Facts) -> str:
    """What the gate compares as dots on their intervals, then every metric of every contestant."""
    own = get_numbers(evaluation, "candidate")
    if not own:
        return ""
    rivals = [name for name in CONTESTANTS if get_numbers(evaluation, name)]
    metric = str(evaluation.get("metric") or next(iter(own)))
    remark = evaluation.get("remark")
    said = "Measured on the same hold-out. Bands and brackets hold 95% of the bootstrap's resamples of it."
    note = render_note(f"{said} {shorten_text(remark, 400)}" if remark else said)
    return (
        note
        + _render_gate_metric(evaluation, metric, rivals)
        + _render_all_metrics(evaluation, metric, rivals)
    )


def _render_gate_metric(evaluation: Facts, metric: str, rivals: Sequence[str]) -> str:
    values = {name: parse_number(get_mapping(evaluation, name).get(metric)) for name in rivals}
    known = {name: value for name, value in values.items() if value is not None}
    if len(known) < 2:
        return ""
    spans = {name: get_interval(evaluation, "intervals", name, metric) for name in known}
    near = [name for name in known if name != "dummy"] or list(known)
    ends = _find_range([end for name in near for end in (known[name], *(spans[name] or ()))])
    gains = {name: get_mapping(evaluation, "gains", name) for name in known if name != "candidate"}
    gains = {name: gain for name, gain in gains.items() if parse_number(gain.get("value")) is not None}
    close = [gain for name, gain in gains.items() if name != "dummy"] or list(gains.values())
    bounds = [parse_number(gain.get(end)) for gain in close for end in ("value", "low", "high")]
    reach = _find_range([0.0, *(bound for bound in bounds if bound is not None)])
    places = choose_decimals(*known.values())
    rows: list[Sequence[object]] = []
    for name, value in known.items():
        gain = gains.get(name, {})
        span = get_interval({"gain": {"ends": [gain.get("low"), gain.get("high")]}}, "gain", "ends")
        gained = parse_number(gain.get("value"))
        rows.append(
            (
                describe_contestant(name, evaluation),
                format_number(value, places),
                render_dot(value, ends, spans[name], TINTS[name], line=known.get("candidate")),
                format_difference(gained, places) if gained is not None else "",
                render_dot(gained, reach, span, TINTS[name], line=0.0) if gained is not None else "",
                format_percent(gain["share"]) if parse_number(gain.get("share")) is not None else "",
            )
        )
    better = "less" if metric in LESS_IS_BETTER else "more"
    head = Html(f"{escape(metric_name(metric))}<br><small>{better} is better</small>")
    share = Html("better in<br><small>of resamples</small>")
    gain_head = Html("this model's<br>gain over it")
    header = ["", head, render_scale(ends), gain_head, render_scale(reach), share]
    if not gains:
        header, rows = header[:3], [row[:3] for row in rows]
    return render_table(header, rows, numbers=(1, 3, 5), kind="compared")


def _render_all_metrics(evaluation: Facts, metric: str, rivals: Sequence[str]) -> str:
    found = {name: get_numbers(evaluation, name) for name in rivals}
    names = list(dict.fromkeys([metric, *(m for values in found.values() for m in values)]))
    names = [name for name in names if any(name in values for values in found.values())]
    rows = []
    for name in names:
        known = [values[name] for values in found.values() if name in values]
        best = min(known) if name in LESS_IS_BETTER else max(known)
        title = f"{escape(metric_name(name))} {'↓' if name in LESS_IS_BETTER else '↑'}"
        cells = [_cell(evaluation, each, name, choose_decimals(*known), best) for each in rivals]
        rows.append((Html(f"<b>{title}</b>" if name == metric else title), *cells))
    header = ["metric", *(describe_contestant(name, evaluation) for name in rivals)]
    drawn = render_table(header, rows, numbers=range(1, len(rivals) + 1), kind="metrics")
    return drawn + render_note("↑ more is better, ↓ less is better. The best of a line is bold.")


def _cell(evaluation: Facts, contestant: str, metric: str, places: int, best: float) -> object:
    value = parse_number(get_mapping(evaluation, contestant).get(metric))
    if value is None:
        return None
    text = format_number(value, places)
    shown = f"<b>{text}</b>" if value == best else text
    span = get_interval(evaluation, "intervals", contestant, metric)
    if span is not None:
        shown += f"<small>[{format_number(span[0], places)}, {format_number(span[1], places)}]</small>"
    return Html(shown)


def render_changed_answers(evaluation: Facts) -> str:
    """What logged requests would be answered otherwise."""
    replay = get_mapping(evaluation, "replay")
    if not replay.get("rows"):
        if evaluation.get("champion_version") is None:
            return ""
        return render_note(
            "No logged requests were answered again: there were none, or the replay is switched off."
        )
    champion = f"champion v{replay['champion_version']}" if replay.get("champion_version") else "the champion"
    told = (
        f"<p>Of the last {format_number(replay['rows'])} logged requests"
        f" {format_number(replay.get('changed'))} ({format_percent(replay.get('share'))})"
        f" would be answered otherwise than by {escape(champion)}.</p>"
    )
    mean = parse_number(replay.get("mean_change"))
    if mean is not None:
        told += f"<p>On average the answer changes by {format_difference(mean)}.</p>"
    examples = [each for each in list_mappings(replay, "examples") if each.get("rows")]
    if not examples:
        return told
    most = max(each["rows"] for each in examples)
    rows = [
        (
            _answer(each.get("champion")),
            Html("→"),
            _answer(each.get("candidate")),
            format_number(each["rows"]),
            render_bar(each["rows"] / most),
        )
        for each in examples[:_MOST_EXAMPLES]
    ]
    return told + render_table(
        (champion, "", "this model", "requests", ""), rows, numbers=(3,), kind="changes"
    )


def _answer(value: object) -> str | None:
    if isinstance(value, float):
        return format_number(value)
    return None if value is None else shorten_text(value, 40)


def _find_range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
