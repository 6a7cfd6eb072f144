"""The overview of a check: the verdict in a sentence, a few numbers, what moved most."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.feature_facts import FeatureFacts
from evergreen.pages.monitoring_parts.features import render_drifted_table
from evergreen.pages.monitoring_parts.words import PSI_MEANING, format_since, read_severity
from evergreen.pages.numbers import (
    choose_decimals,
    format_metric_name,
    format_number,
    shorten_text,
)
from evergreen.pages.page import Html, render_note

# By severity: the class of the banner and its first words.
_BANNERS = {
    "drift": ("rejected", "Drift"),
    "warning": ("warned", "Warning"),
    "none": ("passed", "No drift"),
    "unknown": ("open", "No verdict"),
}


def render_overview(facts: JsonReader, features: Sequence[FeatureFacts]) -> Html:
    """The banner, the tiles, the table of what moved, and what PSI means."""
    as_of = facts.get_text("as_of")
    return Html(
        _render_banner(facts, features)
        + _render_decision(facts)
        + _render_tiles(facts, features)
        + _render_notes(facts)
        + render_drifted_table(features, as_of)
        + render_note(PSI_MEANING)
    )


def _render_banner(facts: JsonReader, features: Sequence[FeatureFacts]) -> str:
    severity = read_severity(facts)
    kind, title = _BANNERS.get(severity, _BANNERS["unknown"])
    text, since = _describe_severity(facts, severity, features)
    moment = f", since <time>{escape(since)}</time>" if since else ""
    return f'<div class="verdict {kind}"><b>{title}</b><span>{escape(text)}{moment}.</span></div>'


def _describe_severity(facts: JsonReader, severity: str, features: Sequence[FeatureFacts]) -> tuple[str, str]:
    """The verdict as a sentence without its full stop, and since when."""
    reason = shorten_text(facts.get_text("reason") or "", 500).rstrip(".")
    if severity not in ("drift", "warning"):
        return (reason[:1].upper() + reason[1:] if reason else "Nothing was compared"), ""
    drifting = [each for each in features if each.severity == severity]
    names = ", ".join(shorten_text(each.name, 40) for each in drifting[:3])
    more = f" and {len(drifting) - 3} more" if len(drifting) > 3 else ""
    what = f"{len(drifting)} of {len(features)} features moved: {names}{more}" if drifting else reason
    return what, format_since(facts.get_text("since"), facts.get_text("as_of"))


def _render_decision(facts: JsonReader) -> str:
    """What was decided, as a second banner."""
    decision = facts.get_object("decision")
    retrain = decision.get_flag("retrain")
    if retrain is None:
        return _render_box("open small", "Not decided", "No decision was recorded.")
    title = "Retrain" if retrain else "No retraining"
    reason = shorten_text(decision.get_text("reason") or "", 500).removeprefix("yes, ").removeprefix("no, ")
    kind = "decided" if retrain else "open"
    sentence = reason[:1].upper() + reason[1:].rstrip(".") + "." if reason else ""
    return _render_box(f"{kind} small", title, sentence)


def _render_box(kind: str, title: str, text: str) -> str:
    return f'<div class="verdict {kind}"><b>{title}</b><span>{escape(text)}</span></div>'


def _render_tiles(facts: JsonReader, features: Sequence[FeatureFacts]) -> str:
    rows, version = facts.get_count("rows"), facts.get_count("model_version")
    tiles = [_render_tile(format_number(rows), "predictions", f"answered while v{version} was champion")]
    if features:
        drifted = sum(each.severity == "drift" for each in features)
        warned = sum(each.severity == "warning" for each in features)
        note = f"and {warned} with a warning" if warned else ""
        tiles.append(_render_tile(f"{drifted} of {len(features)}", "features drifted", note))
        largest = max(features, key=lambda each: each.psi or 0.0)
        tiles.append(_render_tile(format_number(largest.psi), "largest PSI", largest.name))
    tiles += _build_quality_tiles(facts.get_object("quality"))
    failed = [each for each in facts.get_objects("health") if read_severity(each) in ("failed", "warning")]
    if failed:
        tiles.append(_render_tile(str(len(failed)), "findings on data and service", ""))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _build_quality_tiles(quality: JsonReader) -> list[str]:
    """The realised quality where outcomes are known, and the estimate."""
    metric = format_metric_name(quality.get_text("metric") or "quality")
    tiles = []
    value = quality.get_number("value")
    if value is not None:
        outcomes = quality.get_count("rows")
        note = _describe_interval(quality, "low", "high")
        note += f"{', ' if note else ''}{format_number(outcomes)} outcomes" if outcomes else ""
        tiles.append(_render_tile(format_number(value, choose_decimals(value)), f"realised {metric}", note))
    estimate = quality.get_number("estimate")
    if estimate is not None:
        note = _describe_interval(quality, "estimate_low", "estimate_high")
        trusted = quality.get_flag("trusted")
        note += "" if trusted is None else ", trusted" if trusted else ", not trusted"
        number = format_number(estimate, choose_decimals(estimate))
        tiles.append(_render_tile(number, f"estimated {metric}", note))
    return tiles


def _describe_interval(quality: JsonReader, low: str, high: str) -> str:
    ends = quality.get_number(low), quality.get_number(high)
    if ends[0] is None or ends[1] is None:
        return ""
    places = choose_decimals(*ends)
    return f"{format_number(ends[0], places)} to {format_number(ends[1], places)}"


def _render_tile(number: str, name: str, note: str) -> str:
    return (
        f'<div class="tile"><b>{escape(number)}</b><span>{escape(name)}</span>'
        f"<small><bdi>{escape(shorten_text(note, 60))}</bdi></small></div>"
    )


def _render_notes(facts: JsonReader) -> str:
    notes = [f"<li>{escape(shorten_text(note, 400))}</li>" for note in facts.get_list("notes")[:30]]
    return f'<ul class="notes">{"".join(notes)}</ul>' if notes else ""
