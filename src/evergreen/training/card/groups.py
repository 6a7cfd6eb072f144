"""How well the model serves each group."""

from __future__ import annotations

from html import escape

from evergreen.pages.charts import render_dot, render_scale
from evergreen.pages.colours import BLUE, RED, SOFT
from evergreen.pages.numbers import choose_decimals, format_number, parse_number, shorten_text
from evergreen.pages.page import Html, render_details, render_note, render_table
from evergreen.training.card.parts import Facts, get_mapping, get_numbers, list_mappings
from evergreen.training.plots.style import metric_name

_MOST_SLICES = 10
_MOST_TABLES = 5  # so many slices have all metrics below them
_MOST_GROUPS = 24


def render_slices(evaluation: Facts) -> str:
    """A card per slice, the sensitive ones first: its groups' metric as dots, and all metrics to unfold."""
    given = [each for each in list_mappings(evaluation, "slices") if list_mappings(each, "groups")]
    if not given:
        return ""
    given.sort(key=lambda each: not each.get("sensitive"))
    drawn = "".join(_slice(each, place < _MOST_TABLES) for place, each in enumerate(given[:_MOST_SLICES]))
    few = any(not group.get("judged", True) for each in given for group in list_mappings(each, "groups"))
    note = "Groups of the hold-out. What is sensitive must not make people be treated differently."
    if few:
        note += " Grey groups have too few rows to be judged."
    if len(given) > _MOST_SLICES:
        note += f" The first {_MOST_SLICES} of {len(given)} slices."
    return render_note(note) + f'<div class="cards wide">{drawn}</div>'


def _slice(each: Facts, whole: bool) -> str:
    metric = str(each.get("metric") or "")
    groups = list_mappings(each, "groups")[:_MOST_GROUPS]
    values = [parse_number(get_mapping(group, "values").get(metric)) for group in groups]
    known = [value for value in values if value is not None]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    places = max(0, choose_decimals(*known) - 1)
    tint = RED if each.get("sensitive") else BLUE
    rows = []
    for group, value in zip(groups, values, strict=True):
        judged = group.get("judged", True)
        name = escape(shorten_text(group.get("name", ""), 36))
        rows.append(
            (
                Html(name if judged else f'<span class="soft">{name}</span>'),
                format_number(group.get("rows")),
                render_dot(value, ends, tint=tint if judged else SOFT) if value is not None else None,
                format_number(value, places),
            )
        )
    header = ("", "rows", render_scale(ends), metric_name(metric))
    badge = ' <span class="badge">sensitive</span>' if each.get("sensitive") else ""
    left = len(list_mappings(each, "groups")) - len(groups)
    return (
        f'<div class="card"><h3>{escape(shorten_text(each.get("feature", ""), 60))}{badge}</h3>'
        f"{render_table(header, rows, numbers=(1, 3), kind='groups')}{_spread(each, metric)}"
        f"{render_note(f'{left} more groups.') if left > 0 else ''}"
        f"{_render_all_metrics(each) if whole else ''}</div>"
    )


def _spread(each: Facts, metric: str) -> str:
    difference = parse_number(get_mapping(each, "difference").get(metric))
    ratio = parse_number(get_mapping(each, "ratio").get(metric))
    told = []
    if difference is not None:
        told.append(f"The groups differ by {format_number(difference)} at most")
    if ratio is not None:
        told.append(f"the smallest is {format_number(ratio)} of the greatest")
    text = "; ".join(told)
    return render_note(text[0].upper() + text[1:] + ".") if text else ""


def _render_all_metrics(each: Facts) -> str:
    groups = list_mappings(each, "groups")[:_MOST_GROUPS]
    names = list(dict.fromkeys(name for group in groups for name in get_numbers(group, "values")))
    if len(names) < 2:
        return ""
    places = {
        name: max(0, choose_decimals(*(get_mapping(group, "values").get(name) for group in groups)) - 1)
        for name in names
    }

    def line(title: object, values: Facts) -> tuple[object, ...]:
        return (title, *(format_number(values.get(name), places[name]) for name in names))

    rows = [line(shorten_text(group.get("name", ""), 36), get_mapping(group, "values")) for group in groups]
    rows += [line(Html(f"<b>{kind}</b>"), get_mapping(each, kind)) for kind in ("difference", "ratio")]
    header = ("", *map(metric_name, names))
    return render_details("all metrics", render_table(header, rows, numbers=range(1, len(names) + 1)))
