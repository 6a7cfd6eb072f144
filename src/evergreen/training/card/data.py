"""The section of the card about the data that the model was trained on and judged with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from evergreen.pages.charts import render_legend, render_stacked_bar
from evergreen.pages.numbers import format_moment, format_number, format_percent, shorten_text
from evergreen.pages.page import Html, render_details, render_facts, render_note, render_table
from evergreen.training.card.facts import DataSection, FeatureSection
from evergreen.usecase import TIMELESS

_MOST_CLASSES = 20
_MOST_FEATURES = 100
_OPEN_FEATURES = 8  # a longer table of features is folded


def render_data(data: DataSection) -> str:
    """Rows and times, the classes' shares, the features."""
    digest = data.digest
    facts = render_facts(
        {
            "rows": _describe_rows(data),
            "entities": format_number(data.entities) if data.entities else None,
            "target": shorten_text(data.label, 80) if data.label else None,
            "split": shorten_text(data.split, 160) if data.split else None,
            "trained until": _format_time(data.trained_until),
            "judged from": _format_time(data.holdout_from),
            "read at": _format_time(data.read_at),
            "digest": Html(f"<code>{escape(shorten_text(digest, 128))}</code>") if digest else None,
        }
    )
    return facts + _render_shares(data.class_shares) + _render_features(data.features)


def _describe_rows(data: DataSection) -> str | None:
    if not data.rows:
        return None
    counts = [f"{format_number(data.train_rows)} to train"] if data.train_rows else []
    counts += [f"{format_number(data.holdout_rows)} to judge"] if data.holdout_rows else []
    return format_number(data.rows) + (f": {', '.join(counts)}" if counts else "")


def _format_time(moment: str | None) -> str | None:
    """A moment to the minute; None where there is none, or for rows that have no time."""
    text = format_moment(moment) if moment else None
    return None if text == format_moment(TIMELESS.isoformat()) else text


def _render_shares(class_shares: Mapping[str, float]) -> str:
    """The shares of the classes side by side; those beyond the first 20 together."""
    if not class_shares:
        return ""
    items = list(class_shares.items())
    shares = {shorten_text(name, 40): share for name, share in items[:_MOST_CLASSES]}
    rest = sum(share for _, share in items[_MOST_CLASSES:])
    if rest:
        shares[f"{len(items) - _MOST_CLASSES} other classes"] = rest
    keys = [f"{name} {format_percent(share)}" for name, share in shares.items()]
    return f'<h3 class="over">Classes</h3>{render_stacked_bar(shares)}{render_legend(keys)}'


def _render_features(features: Sequence[FeatureSection]) -> str:
    if not features:
        return ""
    first = features[:_MOST_FEATURES]
    body = render_table(
        ("feature", "type", "missing", "meaning"), map(_list_cells, first), numbers=(2,), kind="features"
    )
    if len(first) < len(features):
        body = Html(body + render_note(f"{len(features) - len(first)} more are in the declaration."))
    title = f"{format_number(len(features))} features"
    on_demand = sum(feature.on_demand for feature in features)
    if on_demand:
        title += f", {on_demand} of them computed on demand"
    if len(features) <= _OPEN_FEATURES:
        return f'<h3 class="over">{escape(title)}</h3>{body}'
    return render_details(title, body)


def _list_cells(feature: FeatureSection) -> Sequence[object]:
    meaning = escape(shorten_text(feature.meaning or "", 180))
    if feature.code:
        meaning += f' <span class="soft">code <code>{escape(shorten_text(feature.code, 16))}</code></span>'
    kind = (feature.type or "number") + (", on demand" if feature.on_demand else "")
    missing = format_percent(feature.missing) if feature.missing is not None else ""
    return Html(f"<b>{escape(shorten_text(feature.name, 64))}</b>"), kind, missing, Html(meaning)
