"""The data that the model was made from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.charts import legend, stacked
from evergreen.pages.numbers import finite, moment, number, percent, short
from evergreen.pages.page import Html, facts, folded, soft, table
from evergreen.training.card.parts import Facts, numbers, parts
from evergreen.usecase import TIMELESS

_MOST_CLASSES = 20
_MOST_FEATURES = 100
_OPEN_FEATURES = 8


def data(given: Facts) -> str:
    """Rows and times, the classes' shares, the features."""
    if not given:
        return ""
    digest = given.get("digest")
    told = facts(
        {
            "rows": _rows(given),
            "entities": number(given["entities"]) if given.get("entities") else None,
            "target": short(given["label"], 80) if given.get("label") else None,
            "split": short(given["split"], 160) if given.get("split") else None,
            "trained until": _time(given, "trained_until"),
            "judged from": _time(given, "holdout_from"),
            "read at": _time(given, "read_at"),
            "digest": Html(f"<code>{escape(short(digest, 128))}</code>") if digest else None,
        }
    )
    return told + _shares(given) + _features(given)


def _rows(given: Facts) -> str | None:
    if not given.get("rows"):
        return None
    train, holdout = given.get("train_rows"), given.get("holdout_rows")
    told = [f"{number(train)} to train"] if train else []
    told += [f"{number(holdout)} to judge"] if holdout else []
    return number(given["rows"]) + (f": {', '.join(told)}" if told else "")


def _time(given: Facts, name: str) -> str | None:
    """The moment of that name; rows without a time have none to tell."""
    told = moment(given[name]) if given.get(name) else None
    return None if told == moment(TIMELESS.isoformat()) else told


def _shares(given: Facts) -> str:
    shares = numbers(given, "class_shares")
    order = [str(name) for name in given.get("classes") or shares if str(name) in shares]
    if not order:
        return ""
    known = {short(name, 40): shares[name] for name in order[:_MOST_CLASSES]}
    rest = sum(shares[name] for name in order[_MOST_CLASSES:])
    if rest:
        known[f"{len(order) - _MOST_CLASSES} other classes"] = rest
    keys = [f"{name} {percent(share)}" for name, share in known.items()]
    return f'<h3 class="over">Classes</h3>{stacked(known)}{legend(keys)}'


def _features(given: Facts) -> str:
    features, on_demand = parts(given, "features"), parts(given, "on_demand")
    if not features and not on_demand:
        return ""
    code = {str(each.get("name")): each.get("code") for each in on_demand}
    rows = [_feature(each, code) for each in features[:_MOST_FEATURES]]
    listed = {str(each.get("name")) for each in features}
    alone = [each for each in on_demand if str(each.get("name")) not in listed]
    rows += [_feature(each, code) for each in alone[:_MOST_FEATURES]]
    count = len(features) + len(alone)
    body = table(("feature", "type", "missing", "meaning"), rows, numbers=(2,), kind="features")
    if len(rows) < count:
        body = Html(body + soft(f"{count - len(rows)} more are in the declaration."))
    title = f"{number(count)} features"
    if on_demand:
        title += f", {len(on_demand)} of them computed on demand"
    if count <= _OPEN_FEATURES:
        return f'<h3 class="over">{escape(title)}</h3>{body}'
    return folded(title, body)


def _feature(each: Facts, code: Facts) -> Sequence[object]:
    name = str(each.get("name", ""))
    meaning = escape(short(each.get("meaning") or "", 180))
    if code.get(name):
        meaning += f' <span class="soft">code <code>{escape(short(code[name], 16))}</code></span>'
    kind = str(each.get("type") or "number") + (", on demand" if name in code else "")
    missing = percent(each["missing"]) if finite(each.get("missing")) is not None else ""
    return Html(f"<b>{escape(short(name, 64))}</b>"), kind, missing, Html(meaning)
