"""What the model looks at, how sure it is, whether more data would help, and how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.charts import Curve, render_bar, render_legend, render_plot
from evergreen.pages.colours import AMBER, BLUE, GREEN, PALE, SOFT
from evergreen.pages.numbers import (
    choose_decimals,
    format_number,
    format_percent,
    format_value,
    parse_number,
    shorten_text,
)
from evergreen.pages.page import Html, render_facts, render_note, render_table
from evergreen.training.card.parts import Facts, get_mapping, get_numbers, list_mappings
from evergreen.training.plots.style import metric_name

_MOST_FEATURES = 20
_MOST_PARAMETERS = 40
_MOST_BINS = 50
_MOST_POINTS = 1_500
_BEST_TRIALS = 5


def render_calibration(evaluation: Facts) -> str:
    """How often answers of each confidence are right, and what the correction did."""
    given = get_mapping(evaluation, "calibration")
    if not given:
        return ""
    lines = {"before": _list_bins(given, "bins_before"), "after": _list_bins(given, "bins")}
    curves = [
        Curve(f"{name} the correction", [(sure, right) for sure, right, _ in line], tint)
        for (name, line), tint in zip(lines.items(), (AMBER, GREEN), strict=True)
        if line
    ]
    drawn = ""
    if curves:
        low = max(0.0, min(end for curve in curves for point in curve.points for end in point) - 0.05)
        drawn = render_plot(
            curves,
            "confidence of the answer",
            "share of right answers",
            x_ends=(low, 1.02),
            y_ends=(low, 1.02),
            diagonal=True,
            below=[(sure, rows) for sure, _, rows in lines["after"]],
            below_title="rows",
        )
        drawn = render_legend([curve.name for curve in curves], [curve.tint for curve in curves]) + drawn
    before, after = get_numbers(given, "before"), get_numbers(given, "after")
    rows = []
    for name in dict.fromkeys([*before, *after]):
        places = choose_decimals(before.get(name), after.get(name))
        rows.append(
            (
                metric_name(name),
                format_number(before.get(name), places),
                format_number(after.get(name), places),
            )
        )
    side = render_table(("", "before", "after"), rows, numbers=(1, 2)) if rows else ""
    bias = given.get("bias")
    correction = render_facts(
        {
            "scale": format_number(given["scale"]) if parse_number(given.get("scale")) is not None else None,
            "bias": format_value(bias[:20] if isinstance(bias, list | tuple) else bias) if bias else None,
        }
    )
    note = render_note(
        "On the dashed line the model is right as often as it says. The correction multiplies the raw scores"
        " by the scale and adds the bias of each class."
    )
    return f'<div class="pair">{_render_half(drawn)}{_render_half(note + side + correction)}</div>'


def _list_bins(given: Facts, name: str) -> list[tuple[float, float, float]]:
    """The bins that hold rows: confidence, share of right answers, rows."""
    found = [
        tuple(parse_number(each.get(key)) for key in ("confidence", "accuracy", "rows"))
        for each in list_mappings(given, name)
    ]
    return [
        (sure, right, rows) for sure, right, rows in found if rows and sure is not None and right is not None
    ][:_MOST_BINS]


def render_importance(evaluation: Facts) -> str:
    """The features that move the prediction most."""
    ranked = sorted(get_numbers(evaluation, "importance").items(), key=lambda item: -item[1])
    if not ranked:
        return ""
    shown = ranked[:_MOST_FEATURES]
    most = shown[0][1] or 1.0
    places = max(0, choose_decimals(most) - 1)
    rows = [
        (
            shorten_text(name, 48),
            render_bar(value / most, GREEN),
            format_number(value, places if round(value, places) else None),
        )
        for name, value in shown
    ]
    note = "Mean |SHAP|: how far a feature moves the raw prediction, on average."
    if len(ranked) > len(shown):
        rest = sum(value for _, value in ranked[_MOST_FEATURES:])
        note += f" The other {len(ranked) - len(shown)} features together: {format_number(rest)}."
    return render_note(note) + render_table(("", "", ""), rows, numbers=(2,), kind="bars")


def render_learning_curve(evaluation: Facts) -> str:
    """The gate's metric by number of training rows: would more data help?"""
    points = [each for each in list_mappings(evaluation, "learning_curve") if parse_number(each.get("rows"))]
    metric = metric_name(str(evaluation.get("metric") or "metric"))
    curves = []
    for name, key, tint in (("training rows", "train", PALE), ("hold-out", "holdout", GREEN)):
        values = [(parse_number(each["rows"]), parse_number(each.get(key))) for each in points]
        line = [(rows, value) for rows, value in values if rows is not None and value is not None]
        if line:
            curves.append(Curve(name, line, tint))
    if not curves:
        return ""
    most = max(x for curve in curves for x, _ in curve.points)
    drawn = render_plot(curves, "training rows", metric, x_ends=(0.0, 1.04 * most), height=260)
    note = render_note("Where the hold-out's line is still on its way, more rows would help.")
    keys = render_legend([curve.name for curve in curves], [curve.tint for curve in curves])
    return f'<div class="pair">{_render_half(drawn)}{_render_half(note + keys)}</div>'


def render_search(given: Facts, recipe: Facts) -> str:
    """How the search went on, and the recipe that it found."""
    body = _trials(given) if given else ""
    return body + _recipe(given, recipe)


def _trials(given: Facts) -> str:
    trials = list_mappings(given, "trials")
    if not trials:
        return ""
    states = [str(trial.get("state")) for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    seconds = parse_number(given.get("seconds"))
    took = f" in {format_number(round(seconds, 1))} s" if seconds is not None else ""
    by = f" by the {shorten_text(given['sampler'], 20)} sampler" if given.get("sampler") else ""
    note = render_note(f"{format_number(len(trials))} trials{by}{took}: {', '.join(counts)}.")
    best, wide = _render_best_trials(trials)
    history = _render_half(_render_history(trials))
    return note + (history + best if wide else f'<div class="pair">{history}{_render_half(best)}</div>')


def _render_history(trials: Sequence[Facts]) -> str:
    """The loss trial by trial; what was pruned far above the others stands at the upper edge."""
    step = -(-len(trials) // _MOST_POINTS)
    done = _list_losses(trials, "complete")
    pruned = _list_losses(trials, "pruned")
    if not done and not pruned:
        return ""
    losses = [loss for _, loss in done or pruned]
    top = max(losses) + 0.5 * (max(losses) - min(losses))
    steps: list[tuple[float, float]] = []
    for at, loss in done:
        if not steps or loss < steps[-1][1]:
            steps += [(at, steps[-1][1]), (at, loss)] if steps else [(at, loss)]
    if steps:
        steps.append((max(at for at, _ in [*done, *pruned]), steps[-1][1]))
    curves = [
        Curve("pruned", [(at, min(top, loss)) for at, loss in pruned[::step]], SOFT, line=False, hollow=True),
        Curve("complete", done[::step], GREEN, line=False),
        Curve("best so far", steps, AMBER, dots=False),
    ]
    drawn = [curve for curve in curves if curve.points]
    keys = render_legend([curve.name for curve in drawn], [curve.tint for curve in drawn])
    return keys + render_plot(drawn, "trial", "validation loss", height=260)


def _list_losses(trials: Sequence[Facts], state: str) -> list[tuple[float, float]]:
    found = [
        (parse_number(t.get("number")), parse_number(t.get("loss")))
        for t in trials
        if str(t.get("state")) == state
    ]
    return sorted((at, loss) for at, loss in found if at is not None and loss is not None)


def _render_best_trials(trials: Sequence[Facts]) -> tuple[str, bool]:
    """The table of the best trials, and whether it is too wide to stand beside anything."""
    done = [t for t in trials if t.get("state") == "complete" and parse_number(t.get("loss")) is not None]
    best = sorted(done, key=lambda t: (t["loss"], t.get("number") or 0))[:_BEST_TRIALS]
    if not best:
        return "", False
    places = choose_decimals(*(t["loss"] for t in best))
    names = list(dict.fromkeys(str(name) for t in best for name in get_mapping(t, "params")))[:6]
    rows = [
        (
            format_value(t.get("number")),
            format_number(t["loss"], places),
            format_value(t.get("trees")),
            *(shorten_text(format_value(get_mapping(t, "params").get(name)), 20) for name in names),
        )
        for t in best
    ]
    header = ("trial", "loss", "trees", *(shorten_text(name, 24) for name in names))
    drawn = render_table(header, rows, numbers=range(len(header)), kind="trials")
    return f'<h3 class="over">The best trials</h3>{drawn}', len(names) > 3


def _recipe(given: Facts, recipe: Facts) -> str:
    """What the model was fitted with, what was searched, and what of it mattered."""
    space = {str(each.get("parameter")): each.get("values") for each in list_mappings(given, "space")}
    shares = get_numbers(given, "importance")
    names = list(dict.fromkeys([*map(str, recipe), *space]))[:_MOST_PARAMETERS]
    if not names:
        return ""
    most = max(shares.values(), default=0.0) or 1.0
    rows: list[Sequence[object]] = [
        (
            shorten_text(name, 48),
            Html(f"<b>{escape(shorten_text(format_value(recipe.get(name)), 60))}</b>"),
            shorten_text(format_value(space[name]), 60) if name in space else "",
            format_percent(shares[name]) if name in shares else "",
            render_bar(shares[name] / most, BLUE) if name in shares else "",
        )
        for name in names
    ]
    header: Sequence[str] = ("parameter", "chosen", "searched", "explains", "")
    if not shares:
        header, rows = header[:3], [row[:3] for row in rows]
    if not space:
        header, rows = header[:2], [row[:2] for row in rows]
    drawn = render_table(header, rows, numbers=(3,), kind="recipe")
    note = render_note(
        "Explains: the share of the losses' spread over the trials that comes from the parameter."
    )
    return f'<h3 class="over">Recipe</h3>{drawn}{note if shares else ""}'


def _render_half(body: str) -> str:
    return f"<div>{body}</div>" if body else ""
