"""The decision of a check with each condition of the policy, and the alerts that went out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.numbers import format_moment, shorten_text
from evergreen.pages.page import Html, render_details, render_facts, render_note, render_table

_MOST_CHECKS = 40
_MOST_INPUTS = 80
_MOST_ALERTS = 100
# By the result of a rule its mark, the mark's class, and what it means.
_MARKS = {
    "fired": ("✓", "yes", "a reason to retrain"),
    "passed": ("✓", "yes", "allows it"),
    "blocked": ("✗", "no", "forbids it"),
    "overridden": ("!", "warn", "overridden by hand"),
    "idle": ("–", "warn", "no reason"),
    "unknown": ("?", "warn", "evidence is missing"),
    "off": ("–", "warn", "not declared"),
}
_SILENT = ("idle", "off")


def render_decision(facts: JsonReader) -> Html:
    """Whether to retrain and why, the policy's conditions, and what they were judged by."""
    decision = facts.get_object("decision")
    if decision.is_empty:
        return render_note("The governor has not decided on this check.")
    reason = shorten_text(decision.get_text("reason") or "", 600)
    table = render_facts(
        {
            "retrain": "yes" if decision.get_flag("retrain") else "no",
            "because": reason.removeprefix("yes, because ").removeprefix("no, because "),
            "started by": decision.get_text("trigger"),
            "rows for the training": decision.get_text("window"),
        }
    )
    return Html(table + _render_checks(decision) + _render_inputs(decision))


def render_alerts(facts: JsonReader) -> Html:
    """The alerts of this check, with what became of them."""
    alerts = facts.get_objects("alerts")
    if not alerts:
        return render_note("No alert was sent for this check.")
    rows = [
        (
            format_moment(each.get_text("moment")),
            each.get_text("kind"),
            each.get_text("target"),
            each.get_text("outcome"),
            shorten_text(each.get_text("text") or "", 300),
        )
        for each in alerts[:_MOST_ALERTS]
    ]
    return render_table(("at", "alert", "to", "outcome", "text"), rows)


def _render_checks(decision: JsonReader) -> str:
    """The rules that say something, then those that are not declared or were no reason, folded."""
    checks = decision.get_objects("checks")[:_MOST_CHECKS]
    telling = [each for each in checks if each.get_text("result") not in _SILENT]
    silent = [each for each in checks if each.get_text("result") in _SILENT]
    parts = _render_check_table(telling) if telling else ""
    if silent:
        parts += render_details(f"{len(silent)} more rules that changed nothing", _render_check_table(silent))
    return parts


def _render_check_table(checks: Sequence[JsonReader]) -> Html:
    rows = []
    for each in checks:
        result = each.get_text("result") or "unknown"
        sign, kind, meaning = _MARKS.get(result, _MARKS["unknown"])
        mark = f'<span class="mark {kind}" role="img" aria-label="{meaning}" title="{meaning}">{sign}</span>'
        rows.append(
            (
                Html(mark),
                Html(f"<b>{escape(shorten_text(each.get_text('name') or '', 60))}</b>"),
                meaning,
                shorten_text(each.get_text("value") or "", 80),
                shorten_text(each.get_text("limit") or "", 80),
                shorten_text(each.get_text("reason") or "", 400),
            )
        )
    return render_table(("", "rule", "", "measured", "limit", "why"), rows, kind="checks")


def _render_inputs(decision: JsonReader) -> str:
    inputs = decision.get_object("inputs").document
    if not isinstance(inputs, dict) or not inputs:
        return ""
    facts = {
        shorten_text(name, 80): shorten_text(value, 300)
        for name, value in list(inputs.items())[:_MOST_INPUTS]
    }
    return render_details("What the decision was made of", render_facts(facts))
