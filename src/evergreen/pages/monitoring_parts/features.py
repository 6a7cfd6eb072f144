"""The features of a check: those that moved as cards, the others folded, each with its histogram."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.charts import render_legend
from evergreen.pages.colours import AMBER, GREEN, PALE, RED
from evergreen.pages.monitoring_parts.feature_facts import Bin, FeatureFacts
from evergreen.pages.monitoring_parts.histogram import draw_histogram
from evergreen.pages.monitoring_parts.time_lines import render_spark_line
from evergreen.pages.monitoring_parts.words import format_since, render_badge, render_name
from evergreen.pages.numbers import format_number, format_percent, shorten_text
from evergreen.pages.page import Html, render_details, render_note, render_table

_MOST_OPEN = 12
_MOST_IN_TABLE = 8
_MOST_CARDS = 400


def render_drifted_table(features: Sequence[FeatureFacts], as_of: str | None) -> Html:
    """What moved most: how much, what the largest change is, since when."""
    drifting = [each for each in features if each.severity in ("drift", "warning")]
    if not drifting:
        return Html()
    rows = [
        (
            render_name(each.name),
            render_badge(each.severity),
            format_number(each.psi),
            describe_change(each.largest_change),
            format_since(each.since, as_of) or None,
            render_spark_line(each),
        )
        for each in drifting[:_MOST_IN_TABLE]
    ]
    table = render_table(
        ("feature", "", "PSI", "largest change (reference → now)", "since", "PSI over time"),
        rows,
        (2,),
        "moved",
    )
    rest = len(drifting) - len(rows)
    return Html(table + render_note(f"and {rest} more below.")) if rest > 0 else table


def render_features(features: Sequence[FeatureFacts], as_of: str | None) -> Html:
    """A card per feature: those that moved are open, the rest is folded."""
    if not features:
        return render_note("No feature could be compared.")
    cards = features[:_MOST_CARDS]
    drifting = [each for each in cards if each.severity in ("drift", "warning")]
    first, more = drifting[:_MOST_OPEN], drifting[_MOST_OPEN:]
    others = [each for each in cards if each.severity not in ("drift", "warning")]
    parts: list[str] = [
        render_legend(
            ["reference: the data it was trained on", "now: no drift", "now: warning", "now: drift"],
            [PALE, GREEN, AMBER, RED],
        )
    ]
    if first:
        parts.append(_render_cards(first, as_of))
    else:
        parts.append(render_note("No feature has drifted."))
    if more:
        parts.append(render_details(f"{len(more)} more that moved", _render_cards(more, as_of)))
    if others:
        word = "feature" if len(others) == 1 else "features"
        parts.append(render_details(f"{len(others)} {word} as before", _render_cards(others, as_of)))
    if len(features) > len(cards):
        parts.append(render_note(f"{len(features) - len(cards)} more are in the JSON document."))
    return Html("".join(parts))


def describe_change(change: Bin | None) -> Html | None:
    """The bin that changed most, in words: "up to 32: 10% → 31%"."""
    if change is None:
        return None
    name = "no value" if change.name == "(missing)" else change.name
    name = "other names" if name == "(other)" else name
    shares = f"{format_percent(change.reference)} → {format_percent(change.current)}"
    return Html(f"<bdi>{escape(shorten_text(name, 40))}</bdi>: {shares}")


def render_card(feature: FeatureFacts, as_of: str | None) -> Html:
    """Name, PSI and histogram of a feature."""
    drawing = draw_histogram(feature)
    head = f"<h3>{render_name(feature.name)} {render_badge(feature.severity)}</h3>"
    meaning = f'<p class="soft">{escape(shorten_text(feature.meaning, 160))}</p>' if feature.meaning else ""
    body = drawing.to_html() if drawing else render_note("Its values could not be compared by bins.")
    return Html(
        f'<div class="card">{head}{meaning}{body}<p class="soft">{_describe(feature, as_of)}</p></div>'
    )


def _render_cards(features: Sequence[FeatureFacts], as_of: str | None) -> str:
    return f'<div class="cards">{"".join(render_card(each, as_of) for each in features)}</div>'


def _describe(feature: FeatureFacts, as_of: str | None) -> str:
    """The numbers of a feature in a line of HTML."""
    texts = [f"PSI {format_number(feature.psi)}"]
    if feature.limit is not None:
        texts[0] += f" (limit {format_number(feature.limit)})"
    if feature.chance:
        texts.append(f"up to {format_number(feature.chance)} by chance")
    if feature.since:
        texts.append(f"drifts since {format_since(feature.since, as_of)}")
    if feature.missing and feature.missing.change:
        shares = f"{format_percent(feature.missing.reference)} → {format_percent(feature.missing.current)}"
        texts.append(f"missing {shares}")
    if feature.unseen and feature.unseen[1]:
        texts.append(f"values never seen before {format_percent(feature.unseen[1])}")
    if feature.reason:
        texts.append(shorten_text(feature.reason, 160))
    return escape(" · ".join(texts))
