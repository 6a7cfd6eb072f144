"""How severities, changes and moments of a monitoring check are told."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from evergreen.pages.colours import AMBER, GREEN, RED, SOFT
from evergreen.pages.json_reader import JsonReader
from evergreen.pages.numbers import format_moment, shorten_text
from evergreen.pages.page import Html

# By severity: its word, its colour in drawings, and the class of its badge.
SEVERITIES = {
    "drift": ("drift", RED, "bad"),
    "failed": ("failed", RED, "bad"),
    "warning": ("warning", AMBER, "warn"),
    "unknown": ("too few rows", SOFT, "open"),
    "none": ("as before", GREEN, "good"),
}

PSI_MEANING = (
    "PSI (population stability index) says how differently the values are spread now than in the data that"
    " the model was trained on: 0 is exactly alike; below 0.1 is commonly read as a small difference, above"
    " 0.25 as a large one. It looks at shares, not at the model: a feature may drift without the answers"
    " getting worse."
)


def read_severity(facts: JsonReader, name: str = "severity") -> str:
    """The severity of an object; "unknown" for one that is missing or not known."""
    severity = facts.get_text(name) or "unknown"
    return severity if severity in SEVERITIES else "unknown"


def get_tint(severity: str) -> str:
    """The colour of a severity in drawings."""
    return SEVERITIES[severity][1]


def render_badge(severity: str, word: str = "") -> Html:
    """A severity as a word on its colour; `word` says it otherwise."""
    text, _, kind = SEVERITIES[severity]
    return Html(f'<span class="badge {kind}">{escape(word or text)}</span>')


def render_name(name: object, most: int = 64) -> Html:
    """A name in bold, kept together whatever way its script runs."""
    return Html(f"<b><bdi>{escape(shorten_text(name, most))}</bdi></b>")


def format_since(since: str | None, until: str | None) -> str:
    """A moment, and how long before another it was: "2026-07-02 (12 days)"; "" for no moment.

    The time of day is left out where two days or more lie between them.
    """
    if not since:
        return ""
    text = format_moment(since)
    start, end = parse_iso_moment(since), parse_iso_moment(until)
    if start is None or end is None or end < start:
        return text
    seconds = (end - start).total_seconds()
    return f"{text if seconds < 2 * 86_400 else text[:10]} ({format_duration(seconds)})"


def format_duration(seconds: float) -> str:
    """A time in its greatest unit of which there are at least two: "12 days", "90 seconds"."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def parse_iso_moment(text: str | None) -> datetime | None:
    """An ISO 8601 moment as aware UTC; None for anything else. One without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
