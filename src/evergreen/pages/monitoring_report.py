"""The page of a monitoring check: overview first, then what it rests on. One file without scripts."""

from __future__ import annotations

from html import escape
from pathlib import Path

from evergreen.pages.json_reader import JsonReader
from evergreen.pages.monitoring_parts.decision import render_alerts, render_decision
from evergreen.pages.monitoring_parts.feature_facts import FeatureFacts
from evergreen.pages.monitoring_parts.features import render_features
from evergreen.pages.monitoring_parts.findings import render_findings, render_refused, render_slices
from evergreen.pages.monitoring_parts.overview import render_overview
from evergreen.pages.monitoring_parts.quality import render_answers, render_quality
from evergreen.pages.monitoring_parts.time_lines import render_checks, render_psi_lines
from evergreen.pages.numbers import format_moment, format_number, shorten_text
from evergreen.pages.page import Html, Section, render_facts, render_page

STYLE_FILES = ("dark.css", "report.css")


def render_monitoring_report(document: object) -> str:
    """One HTML page, without scripts or network, that shows a check to a person.

    `document` is the JSON document of `monitoring.report.document.CheckReport`. Any part may be missing,
    null or malformed: then it is not shown, or said to be missing.
    """
    facts = JsonReader(document)
    features = [FeatureFacts.from_json(each) for each in facts.get_objects("features")]
    answers = facts.get_object("prediction")
    prediction = None if answers.is_empty else FeatureFacts.from_json(answers)
    title = facts.get_text("title") or facts.get_text("use_case") or "Monitoring"
    bodies = {
        "Overview": render_overview(facts, features),
        "Drift over time": Html(render_psi_lines(facts, features) + render_checks(facts)),
        "Quality": render_quality(facts),
        "Answers": render_answers(facts, prediction),
        "Features": render_features(features, facts.get_text("as_of")),
        "Slices": render_slices(facts),
        "Refused values": render_refused(facts),
        "Data and service": render_findings(facts),
        "Decision": render_decision(facts),
        "Alerts": render_alerts(facts),
        "Origin": _render_origin(facts),
    }
    sections = [Section(name, body) for name, body in bodies.items() if body]
    return render_page(
        shorten_text(f"{title}: check of {format_moment(facts.get_text('as_of'))}", 160),
        _describe_check(facts),
        sections,
        style=read_style(),
        links=False,
    )


def read_style() -> str:
    """The style sheets of reports, in addition to that of all pages."""
    return "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in STYLE_FILES)


def _describe_check(facts: JsonReader) -> list[str]:
    """The paragraphs below the title: what is predicted, and what was compared with what."""
    meaning = facts.get_text("meaning")
    rows = facts.get_count("rows")
    count = "1 prediction" if rows == 1 else f"{format_number(rows)} predictions"
    version = facts.get_count("model_version")
    text = (
        f"{count} from {format_moment(facts.get_text('window_start'))} to"
        f" {format_moment(facts.get_text('window_end'))}, compared with the data that model"
        f" v{version if version is not None else '?'} was trained on."
    )
    return [*([shorten_text(meaning, 600)] if meaning else []), text]


def _render_origin(facts: JsonReader) -> Html:
    def render_code(value: str | None) -> Html | None:
        """An id in a fixed-width font."""
        return Html(f"<code>{escape(shorten_text(value, 128))}</code>") if value else None

    promoted = facts.get_text("promoted_at")
    return render_facts(
        {
            "use case": render_code(facts.get_text("use_case")),
            "check": render_code(facts.get_text("check")),
            "champion since": format_moment(promoted) if promoted else None,
        }
    )
