"""Slices, refused values, and findings about data and service."""

from __future__ import annotations

from html import escape

from evergreen.pages.charts import render_bar
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.words import read_severity, render_badge, render_name
from evergreen.pages.numbers import choose_decimals, format_number, format_percent, shorten_text
from evergreen.pages.page import Html, render_note, render_table

_MOST_SLICES = 100
_MOST_REFUSED = 50
_MOST_FINDINGS = 100
_FINDING_WORDS = {"none": "in order", "unknown": "unknown", "warning": "warning", "failed": "failed"}


def render_slices(facts: JsonReader) -> Html:
    """A row per slice: its predictions, whether it drifted and in which features, its quality."""
    slices = facts.get_objects("slices")
    if not slices:
        return Html()
    rows = []
    for each in slices[:_MOST_SLICES]:
        drifting = [
            (shorten_text(feature.get_text("feature") or "", 40), feature.get_number("psi"))
            for feature in each.get_objects("features")[:4]
        ]
        features = ", ".join(f"{name} {format_number(psi)}" for name, psi in drifting)
        reason = shorten_text(each.get_text("reason") or "", 160)
        rows.append(
            (
                render_name(each.get_text("name") or "", 80),
                format_number(each.get_count("rows")),
                render_badge(read_severity(each)),
                features or reason or None,
                _describe_value(each),
            )
        )
    metric = facts.get_object("quality").get_text("metric") or "quality"
    table = render_table(("slice", "predictions", "drift", "moved most (PSI)", metric), rows, (1,), "slices")
    if len(slices) > _MOST_SLICES:
        return Html(table + render_note(f"{len(slices) - _MOST_SLICES} more are in the JSON document."))
    return table


def render_refused(facts: JsonReader) -> Html:
    """Rows that services refused for their values, by field; nothing where none was refused."""
    refusals = facts.get_objects("refused")
    if not refusals:
        return Html()
    rows = [
        (
            render_name(each.get_text("field") or "the whole row"),
            each.get_text("kind"),
            format_number(each.get_count("rows")),
            format_percent(each.get_number("share")),
            render_bar(each.get_number("share") or 0.0),
        )
        for each in refusals[:_MOST_REFUSED]
    ]
    table = render_table(("field", "fault", "rows", "share", ""), rows, (2, 3), "refused")
    note = (
        "These rows were not answered, so they show no drift; a shift beyond the declared limits shows here."
    )
    return Html(table + render_note(note))


def render_findings(facts: JsonReader) -> Html:
    """What is wrong with data or service first, then what is in order."""
    findings = facts.get_objects("health")
    if not findings:
        return Html()
    order = ("failed", "warning", "unknown", "none")
    ranked = sorted(findings, key=lambda each: order.index(_read_finding(each)))
    rows = [
        (
            render_badge(_read_finding(each), _FINDING_WORDS[_read_finding(each)]),
            Html(f"<b>{escape(shorten_text(each.get_text('subject') or '', 80))}</b>"),
            shorten_text(each.get_text("text") or "", 400),
        )
        for each in ranked[:_MOST_FINDINGS]
    ]
    return render_table(("", "", ""), rows, kind="findings")


def _read_finding(finding: JsonReader) -> str:
    severity = read_severity(finding)
    return "failed" if severity == "drift" else severity


def _describe_value(each: JsonReader) -> str | None:
    value, low, high = (each.get_number(name) for name in ("value", "low", "high"))
    if value is None:
        return None
    places = choose_decimals(value)
    text = format_number(value, places)
    if low is not None and high is not None:
        text += f" ({format_number(low, places)} to {format_number(high, places)})"
    return text
