"""The section of the card about results: metrics beside champion and baselines, and answers that change."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.model.judging.metrics import LESS_IS_BETTER
from evergreen.pages.charts import render_bar, render_dot, render_scale
from evergreen.pages.numbers import (
    choose_decimals,
    format_difference,
    format_metric_name,
    format_number,
    format_percent,
    shorten_text,
)
from evergreen.pages.page import Html, render_note, render_table
from evergreen.training.card.contestants import TINTS, describe_contestant
from evergreen.training.card.evaluation_facts import EvaluationFacts, ReplayFacts

_MOST_EXAMPLES = 12
_METHOD = "Measured on the same hold-out. Bands and brackets hold 95% of the bootstrap's resamples of it."


def render_metrics(evaluation: EvaluationFacts) -> str:
    """What the gate compares as dots on their intervals, then every metric of every contestant."""
    candidate = evaluation.contestants.get("candidate")
    if candidate is None:
        return ""
    metric = evaluation.metric or next(iter(candidate.metrics))
    note = f"{_METHOD} {shorten_text(evaluation.remark, 400)}" if evaluation.remark else _METHOD
    return (
        render_note(note) + _render_gate_metric(evaluation, metric) + _render_all_metrics(evaluation, metric)
    )


def _render_gate_metric(evaluation: EvaluationFacts, metric: str) -> str:
    """The gate's metric of each contestant, and what the candidate gains on each rival."""
    contestants = evaluation.contestants
    values = {name: each.metrics[metric] for name, each in contestants.items() if metric in each.metrics}
    if len(values) < 2:
        return ""
    spans = {name: contestants[name].intervals.get(metric) for name in values}
    # A guess is far away from all models: the scales are chosen without it, and its dot becomes an arrow.
    models = [name for name in values if name != "dummy"] or list(values)
    ends = _find_ends([end for name in models for end in (values[name], *(spans[name] or ()))])
    gains = {name: gain for name, gain in evaluation.gains.items() if name in values}
    close = [gain for name, gain in gains.items() if name != "dummy"] or list(gains.values())
    bounds = [bound for gain in close for bound in (gain.value, gain.low, gain.high)]
    gain_ends = _find_ends([0.0, *(bound for bound in bounds if bound is not None)])
    places = choose_decimals(*values.values())
    rows: list[Sequence[object]] = []
    for name, value in values.items():
        gain = gains.get(name)
        rows.append(
            (
                describe_contestant(name, evaluation),
                format_number(value, places),
                render_dot(value, ends, spans[name], TINTS[name], line=values.get("candidate")),
                format_difference(gain.value, places) if gain else "",
                render_dot(gain.value, gain_ends, gain.interval, TINTS[name], line=0.0) if gain else "",
                format_percent(gain.share) if gain and gain.share is not None else "",
            )
        )
    better = "less" if metric in LESS_IS_BETTER else "more"
    head = Html(f"{escape(format_metric_name(metric))}<br><small>{better} is better</small>")
    share = Html("better in<br><small>of resamples</small>")
    gain_head = Html("this model's<br>gain over it")
    header = ["", head, render_scale(ends), gain_head, render_scale(gain_ends), share]
    if not gains:
        header, rows = header[:3], [row[:3] for row in rows]
    return render_table(header, rows, numbers=(1, 3, 5), kind="compared")


def _render_all_metrics(evaluation: EvaluationFacts, metric: str) -> str:
    """A line per metric, the gate's first, and a column per contestant."""
    contestants = evaluation.contestants
    names = list(dict.fromkeys([metric, *(name for each in contestants.values() for name in each.metrics)]))
    rows = []
    for name in names:
        values = [each.metrics[name] for each in contestants.values() if name in each.metrics]
        if not values:
            continue
        best = min(values) if name in LESS_IS_BETTER else max(values)
        title = f"{escape(format_metric_name(name))} {'↓' if name in LESS_IS_BETTER else '↑'}"
        cells = [
            _render_cell(evaluation, contestant, name, choose_decimals(*values), best)
            for contestant in contestants
        ]
        rows.append((Html(f"<b>{title}</b>" if name == metric else title), *cells))
    header = ["metric", *(describe_contestant(name, evaluation) for name in contestants)]
    table = render_table(header, rows, numbers=range(1, len(header)), kind="metrics")
    return table + render_note("↑ more is better, ↓ less is better. The best of a line is bold.")


def _render_cell(
    evaluation: EvaluationFacts, contestant: str, metric: str, places: int, best: float
) -> Html | None:
    """A contestant's value with its interval below it; the best of the line is bold."""
    facts = evaluation.contestants[contestant]
    value = facts.metrics.get(metric)
    if value is None:
        return None
    text = format_number(value, places)
    cell = f"<b>{text}</b>" if value == best else text
    span = facts.intervals.get(metric)
    if span is not None:
        cell += f"<small>[{format_number(span[0], places)}, {format_number(span[1], places)}]</small>"
    return Html(cell)


def render_changed_answers(evaluation: EvaluationFacts) -> str:
    """How many logged requests would get another answer, and which answers change most often."""
    replay = evaluation.replay
    if replay is None:
        if evaluation.champion_version is None:
            return ""
        return render_note(
            "No logged requests were answered again: there were none, or the replay is switched off."
        )
    champion = f"champion v{replay.champion_version}" if replay.champion_version else "the champion"
    text = (
        f"<p>Of the last {format_number(replay.rows)} logged requests"
        f" {format_number(replay.changed)} ({format_percent(replay.share)})"
        f" would be answered otherwise than by {escape(champion)}.</p>"
    )
    if replay.mean_change is not None:
        text += f"<p>On average the answer changes by {format_difference(replay.mean_change)}.</p>"
    return text + _render_examples(replay, champion)


def _render_examples(replay: ReplayFacts, champion: str) -> str:
    if not replay.examples:
        return ""
    most = max(each.rows for each in replay.examples)
    rows = [
        (
            _format_answer(each.champion),
            Html("→"),
            _format_answer(each.candidate),
            format_number(each.rows),
            render_bar(each.rows / most),
        )
        for each in replay.examples[:_MOST_EXAMPLES]
    ]
    header = (champion, "", "this model", "requests", "")
    return render_table(header, rows, numbers=(3,), kind="changes")


def _format_answer(value: str | float | None) -> str | None:
    if isinstance(value, float):
        return format_number(value)
    return None if value is None else shorten_text(value, 40)


def _find_ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
