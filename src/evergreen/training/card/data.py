"""The data that the model was made from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.charts import render_legend, render_stacked_bar
from evergreen.pages.numbers import format_moment, format_number, format_percent, parse_number, shorten_text
from evergreen.pages.page import Html, render_details, render_facts, render_note, render_table
from evergreen.training.card.parts import Facts, get_numbers, list_mappings
from evergreen.usecase import TIMELESS

_MOST_CLASSES = 20
_MOST_FEATURES = 100
_OPEN_FEATURES = 8


def render_data(given: Facts) -> str:
    """Rows and times, the classes' shares, the features."""
    if not given:
        return ""
    digest = given.get("digest")
    told = render_facts(
        {
            "rows": _rows(given),
            "entities": format_number(given["entities"]) if given.get("entities") else None,
            "target": shorten_text(given["label"], 80) if given.get("label") else None,
            "split": shorten_text(given["split"], 160) if given.get("split") else None,
            "trained until": _format_time(given, "trained_until"),
            "judged from": _format_time(given, "holdout_from"),
            "read at": _format_time(given, "read_at"),
            "digest": Html(f"<code>{escape(shorten_text(digest, 128))}</code>") if digest else None,
        }
    )
    return told + _shares(given) + _features(given)


def _rows(given: Facts) -> str | None:
    if not given.get("rows"):
        return None
    train, holdout = given.get("train_rows"), given.get("holdout_rows")
    told = [f"{format_number(train)} to train"] if train else []
    told += [f"{format_number(holdout)} to judge"] if holdout else []
    return format_number(given["rows"]) + (f": {', '.join(told)}" if told else "")


def _format_time(given: Facts, name: str) -> str | None:
    """The moment of that name; rows without a time have none to tell."""
    told = format_moment(given[name]) if given.get(name) else None
    return None if told == format_moment(TIMELESS.isoformat()) else told


def _shares(given: Facts) -> str:
    shares = get_numbers(given, "class_shares")
    order = [str(name) for name in given.get("classes") or shares if str(name) in shares]
    if not order:
        return ""
    known = {shorten_text(name, 40): shares[name] for name in order[:_MOST_CLASSES]}
    rest = sum(shares[name] for name in order[_MOST_CLASSES:])
    if rest:
        known[f"{len(order) - _MOST_CLASSES} other classes"] = rest
    keys = [f"{name} {format_percent(share)}" for name, share in known.items()]
    return f'<h3 class="over">Classes</h3>{render_stacked_bar(known)}{render_legend(keys)}'


def _features(given: Facts) -> str:
    features, on_demand = list_mappings(given, "features"), list_mappings(given, "on_demand")
    if not features and not on_demand:
        return ""
    code = {str(each.get("name")): each.get("code") for each in on_demand}
    rows = [_feature(each, code) for each in features[:_MOST_FEATURES]]
    listed = {str(each.get("name")) for each in features}
    alone = [each for each in on_demand if str(each.get("name")) not in listed]
    rows += [_feature(each, code) for each in alone[:_MOST_FEATURES]]
    count = len(features) + len(alone)
    body = render_table(("feature", "type", "missing", "meaning"), rows, numbers=(2,), kind="features")
    if len(rows) < count:
        body = Html(body + render_note(f"{count - len(rows)} more are in the declaration."))
    title = f"{format_number(count)} features"
    if on_demand:
        title += f", {len(on_demand)} of them computed on demand"
    if count <= _OPEN_FEATURES:
        return f'<h3 class="over">{escape(title)}</h3>{body}'
    return render_details(title, body)


def _feature(each: Facts, code: Facts) -> Sequence[object]:
    name = str(each.get("name", ""))
    meaning = escape(shorten_text(each.get("meaning") or "", 180))
    if code.get(name):
        meaning += f' <span class="soft">code <code>{escape(shorten_text(code[name], 16))}</code></span>'
    kind = str(each.get("type") or "number") + (", on demand" if name in code else "")
    missing = format_percent(each["missing"]) if parse_number(each.get("missing")) is not None else ""
    return Html(f"<b>{escape(shorten_text(name, 64))}</b>"), kind, missing, Html(meaning)
