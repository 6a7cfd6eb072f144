"""The page of a backtest: what each policy would have brought, and which one it would declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from html import escape
from typing import Any

from evergreen.pages.axis import build_number_axis
from evergreen.pages.backtest_facts import PolicyFacts
from evergreen.pages.charts import render_bar
from evergreen.pages.colours import AMBER, BLUE, GREEN, RED, SOFT
from evergreen.pages.drawing import Drawing, arrange_in_grid, draw_text
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.two_widths import render_two_widths
from evergreen.pages.monitoring_parts.words import format_duration, parse_iso_moment
from evergreen.pages.monitoring_report import read_style
from evergreen.pages.numbers import (
    choose_decimals,
    format_difference,
    format_metric_name,
    format_moment,
    format_number,
    format_percent,
    format_value,
    shorten_text,
)
from evergreen.pages.page import (
    Html,
    Section,
    render_details,
    render_facts,
    render_note,
    render_page,
    render_table,
)
from evergreen.pages.plot import Curve, Guide, Point, draw_plot, measure_left
from evergreen.pages.time_axis import build_time_axis

_MOST_POLICIES = 24
_MOST_CURVES = 5
_MOST_DECISIONS = 400
_MOST_MARKS = 400
# As many periods without a value are a gap in a curve; fewer are drawn through.
_LEAST_GAP = 3
# The colour of a policy's curve by its kind; of several fixed ones only the best is drawn.
_TINTS = {"declared": GREEN, "given": AMBER, "fixed": BLUE, "daily": RED, "never": SOFT}
_NO_RESULT = "No policy was replayed."


def render_backtest_page(document: Mapping[str, Any]) -> str:
    """One HTML page, without scripts or network, of a backtest.

    `document` is the JSON document of `backtest.result.BacktestResult`. Parts may be missing or malformed.
    """
    facts = JsonReader(document)
    policies = [PolicyFacts.from_json(each) for each in facts.get_objects("policies")][:_MOST_POLICIES]
    title = facts.get_text("title") or facts.get_text("use_case") or "Backtest"
    bodies = {
        "Result": _render_recommendation(facts, policies) + _render_policies(facts, policies),
        "Quality over time": _render_curves(facts, policies),
        "Decisions": _render_decisions(policies),
        "How it was measured": _render_origin(facts),
    }
    return render_page(
        shorten_text(f"{title}: backtest", 160),
        [_describe_backtest(facts)],
        [Section(name, body) for name, body in bodies.items() if body],
        style=read_style(),
        links=False,
    )


def _describe_backtest(facts: JsonReader) -> str:
    start, end = (format_moment(facts.get_text(name)).partition(" ")[0] for name in ("start", "end"))
    every = facts.get_number("every_seconds")
    checks = facts.get_count("checks")
    text = f"The past from {start} to {end}, replayed as it was known then"
    if every:
        text += f": a check every {_describe_interval(every)}"
        text += f", {format_number(checks)} checks" if checks else ""
    rows = facts.get_count("rows")
    text += f", {format_number(rows)} requests." if rows else "."
    return f"{text} Rows whose outcome was learned stand in for requests."


def _describe_interval(seconds: float) -> str:
    text = format_duration(seconds)
    if seconds < 2 * 86_400 and round(seconds) % 86_400 == 0:
        return "day"
    return "hour" if round(seconds) == 3_600 else text


def _render_recommendation(facts: JsonReader, policies: Sequence[PolicyFacts]) -> str:
    """The policy that the backtest would declare, with the line that declares it."""
    recommendation = facts.get_object("recommendation")
    name = recommendation.get_text("policy")
    if name is None:
        return f'<div class="verdict open"><b>No advice</b><span>{escape(_NO_RESULT)}</span></div>'
    title = next((policy.title for policy in policies if policy.name == name), name)
    reason = shorten_text(recommendation.get_text("reason") or "", 600)
    metric = facts.get_text("metric")
    if metric:
        reason = reason.replace(f"{metric} ", f"{format_metric_name(metric)} ")
    box = (
        f'<div class="verdict passed"><b><bdi>{escape(shorten_text(title, 60))}</bdi></b>'
        f"<span>{escape(reason[:1].upper() + reason[1:].rstrip('.') + '.')}</span></div>"
    )
    declaration = recommendation.get_text("declaration")
    if declaration:
        box += f'<p>To declare it:</p><pre tabindex="0"><code>{escape(declaration[:2000])}</code></pre>'
    return box


def _render_policies(facts: JsonReader, policies: Sequence[PolicyFacts]) -> Html:
    """A row per policy: quality, retrains, different fits, processor time."""
    if not policies:
        return render_note(_NO_RESULT)
    metric = facts.get_text("metric") or "quality"
    best = facts.get_object("recommendation").get_text("policy")
    places = choose_decimals(*(policy.value for policy in policies))
    never = next((policy.value for policy in policies if policy.kind == "never"), None)
    most = max([1, *(policy.retrains for policy in policies)])
    has_gain = _pays_to_retrain(facts, policies)
    rows = []
    for policy in policies:
        name = f"<b><bdi>{escape(shorten_text(policy.title, 60))}</bdi></b>"
        if policy.name == best:
            name += ' <span class="badge good">would be declared</span>'
        difference = None
        if never is not None and policy.value is not None and policy.kind != "never":
            difference = format_difference(policy.value - never, places)
        rows.append(
            (
                Html(name),
                format_number(policy.value, places),
                difference,
                None if policy.gain is None or not has_gain else format_percent(policy.gain),
                format_number(policy.retrains),
                render_bar(policy.retrains / most),
                format_number(policy.fits),
                None if policy.cpu_seconds is None else f"{format_number(round(policy.cpu_seconds, 1))} s",
            )
        )
    header = (
        *("policy", format_metric_name(metric), "to never", "gain", "retrains", "", "different fits"),
        "processor time",
    )
    less = "; less is better" if facts.get_flag("less_is_better") else ""
    gain = (
        "Gain: 0% is as good as never retraining, 100% as good as retraining at every check."
        if has_gain
        else "Retraining at every check was no better than never retraining: there is no gain to share."
    )
    note = (
        f"Over all requests of the backtest{less}. {gain} Retrains leave out the first model, which all"
        " policies share. Identical training sets are fitted once: different fits count these. Processor time"
        " is that of each retrain in full."
    )
    return Html(render_table(header, rows, (1, 2, 3, 4, 6, 7), "policies") + render_note(note))


def _render_curves(facts: JsonReader, policies: Sequence[PolicyFacts]) -> Html:
    moments = [parse_iso_moment(str(text)) for text in facts.get_list("periods")]
    starts = [moment for moment in moments if moment is not None]
    end = parse_iso_moment(facts.get_text("end"))
    curves = _choose_curves(policies, less_is_better=bool(facts.get_flag("less_is_better")))
    if not starts or len(starts) != len(moments) or end is None or not curves:
        return render_note("There is no curve: the backtest has no stretch of time with requests.")
    metric = format_metric_name(facts.get_text("metric") or "quality")
    chart = render_two_widths(partial(_draw_curves, metric, starts, end, curves))
    left_out = sum(policy.kind == "fixed" for policy in policies) - sum(p.kind == "fixed" for p in curves)
    text = "Below: when each policy would have retrained."
    if left_out > 0:
        text += " Of the fixed intervals only the best is drawn."
    return Html(chart + render_note(text))


def _pays_to_retrain(facts: JsonReader, policies: Sequence[PolicyFacts]) -> bool:
    """Whether retraining at every check was better than never; True where one of them was left out."""
    values = {policy.kind: policy.value for policy in policies}
    never, daily = values.get("never"), values.get("daily")
    if never is None or daily is None:
        return True
    return daily < never if facts.get_flag("less_is_better") else daily > never


def _choose_curves(policies: Sequence[PolicyFacts], *, less_is_better: bool) -> list[PolicyFacts]:
    """The policies that are drawn: all but the fixed ones, of which the best."""
    fixed = [policy for policy in policies if policy.kind == "fixed" and policy.value is not None]
    sign = -1.0 if less_is_better else 1.0
    best = max(fixed, key=lambda policy: sign * (policy.value or 0.0), default=None)
    curves = [policy for policy in policies if policy.kind != "fixed" or policy is best]
    order = list(_TINTS)
    curves.sort(key=lambda policy: order.index(policy.kind) if policy.kind in order else 1)
    return [policy for policy in curves if any(value is not None for value in policy.curve)][:_MOST_CURVES]


def _draw_curves(
    metric: str, starts: Sequence[datetime], end: datetime, policies: Sequence[PolicyFacts], width: float
) -> Drawing:
    few = width < 500
    x = build_time_axis(starts[0], end, about=4 if few else 9)
    ends = [*(moment.timestamp() for moment in starts[1:]), end.timestamp()]
    middles = [(start.timestamp() + until) / 2 for start, until in zip(starts, ends, strict=True)]
    values = [value for policy in policies for value in policy.curve if value is not None]
    y = build_number_axis(values, metric, margin=0.08, about=6)
    left = measure_left(y) if few else max(110.0, measure_left(y))
    curves = [curve for policy in reversed(policies) for curve in _build_curves(policy, middles)]
    guides = [
        Guide((moment.timestamp(), y.low), (moment.timestamp(), y.high), _get_tint(policies[0]))
        for moment in policies[0].retrained_at[:60]
        if x.low <= moment.timestamp() <= x.high
    ]
    upper = draw_plot(x, y, curves, guides=guides, width=width, height=320, left=left, x_labels=False)
    lower = _draw_marks(x.low, x.high, policies, width, left, few)
    labels = draw_plot(x, replace(y, ticks=(), title=""), width=width, height=62, left=left)
    both = arrange_in_grid([upper, lower, labels], 1, gap=0)
    return replace(both, label=f"{metric} over time of each policy, and when each would have retrained")


def _build_curves(policy: PolicyFacts, middles: Sequence[float]) -> list[Curve]:
    """A policy's line, in several pieces where it has gaps: periods in succession without a value."""
    pieces: list[list[Point]] = []
    last = None
    for number, (at, value) in enumerate(zip(middles, policy.curve, strict=False)):
        if value is None:
            continue
        if last is None or number - last > _LEAST_GAP:
            pieces.append([])
        pieces[-1].append((at, value))
        last = number
    has_dots = sum(map(len, pieces)) < 40
    name = shorten_text(policy.title, 34)
    return [
        Curve("" if number else name, piece, _get_tint(policy), dots=has_dots or len(piece) == 1, size=4.5)
        for number, piece in enumerate(pieces)
    ]


def _draw_marks(
    low: float, high: float, policies: Sequence[PolicyFacts], width: float, left: float, few: bool
) -> Drawing:
    """A line per policy with a mark at each retraining."""
    row, right = 19.0, width - 14
    parts = []
    for number, policy in enumerate(policies):
        middle = row * (number + 0.5) + 4
        if not few:
            parts.append(draw_text(0, middle + 4, policy.title, width=left - 12, size=11))
        step = -(-max(1, len(policy.retrained_at)) // _MOST_MARKS)
        places = [
            left + (moment.timestamp() - low) / (high - low) * (right - left)
            for moment in policy.retrained_at[::step]
            if low <= moment.timestamp() <= high
        ]
        tint = _get_tint(policy)
        parts.append(f'<path d="M{left:.1f} {middle:.1f}H{right:.1f}" stroke="#dbe5df" fill="none"/>')
        if places:
            marks = "".join(f"M{place:.1f} {middle - 5:.1f}v10" for place in places)
            parts.append(f'<path d="{marks}" stroke="{tint}" stroke-width="2" fill="none"/>')
    return Drawing(width, row * len(policies) + 6, "".join(parts), "retrainings")


def _get_tint(policy: PolicyFacts) -> str:
    return _TINTS.get(policy.kind, AMBER)


def _render_decisions(policies: Sequence[PolicyFacts]) -> Html:
    """The decisions of each policy, folded; where there are many only the retrainings."""
    parts = []
    for policy in policies:
        decisions = [each for each in policy.decisions if each.get_text("moment")]
        if not decisions:
            continue
        lines, text = decisions, ""
        if len(lines) > _MOST_DECISIONS:
            lines = [each for each in decisions if each.get_flag("retrain")][:_MOST_DECISIONS]
            text = (
                f"{len(decisions):,} decisions, of which the {len(lines):,} that retrained are shown; all are"
                " in the JSON document."
            )
        table = render_table(
            ("check", "decided", "by", "because", "rows", "window"),
            map(_list_cells, lines),
            (4,),
            "decisions",
        )
        retrains = sum(bool(each.get_flag("retrain")) for each in decisions)
        title = f"{shorten_text(policy.title, 60)}: {retrains:,} of {len(decisions):,} checks retrained"
        parts.append(render_details(title, (render_note(text) if text else "") + table))
    return Html("".join(parts))


def _list_cells(decision: JsonReader) -> Sequence[object]:
    days = decision.get_number("window_days")
    reason = shorten_text(decision.get_text("reason") or "", 300)
    rows = decision.get_count("rows")
    retrain = decision.get_flag("retrain")
    return (
        format_moment(decision.get_text("moment")),
        Html('<b class="yes">retrain</b>') if retrain else "no",
        decision.get_text("trigger") or "",
        reason.removeprefix("yes, because ").removeprefix("no, because "),
        "" if rows is None else format_number(rows),
        f"{format_number(round(days, 1))} days" if days is not None else "all" if retrain else "",
    )


def _render_origin(facts: JsonReader) -> Html:
    def render_code(value: str | None) -> Html | None:
        """A digest in a fixed-width font."""
        return Html(f"<code>{escape(shorten_text(value, 128))}</code>") if value else None

    clock = {"ingested": "when rows were ingested", "event": "event time and the label's delay"}
    notes = "".join(f"<li>{escape(shorten_text(note, 400))}</li>" for note in facts.get_list("notes")[:30])
    seconds, cpu = facts.get_number("seconds"), facts.get_number("cpu_seconds")
    table = render_facts(
        {
            "what was known is told by": clock.get(facts.get_text("clock") or ""),
            "rows of the first model": _format_count(facts, "first_rows"),
            "different fits, all policies": _format_count(facts, "fits"),
            "fits used again": _format_count(facts, "fits_shared"),
            "processor time of the fits": f"{format_number(round(cpu, 1))} s" if cpu is not None else None,
            "time of the backtest": f"{format_number(round(seconds, 1))} s" if seconds is not None else None,
            "parameters": _describe_parameters(facts),
            "parameters from": facts.get_text("parameters_source"),
            "data": render_code(facts.get_text("data_digest")),
            "declaration": render_code(facts.get_text("declaration_digest")),
        }
    )
    return Html((f'<ul class="notes">{notes}</ul>' if notes else "") + table)


def _describe_parameters(facts: JsonReader) -> str:
    parameters = facts.get_parameters("parameters")
    return ", ".join(f"{name} {format_value(value)}" for name, value in parameters.items())[:400]


def _format_count(facts: JsonReader, name: str) -> str | None:
    count = facts.get_count(name)
    return None if count is None else format_number(count)
