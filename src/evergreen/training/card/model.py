"""What the model looks at, how sure it is, whether more data would help, and how it was found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from evergreen.pages.charts import Curve, bar, legend, plot
from evergreen.pages.colours import AMBER, BLUE, GREEN, PALE, SOFT
from evergreen.pages.numbers import decimals, finite, number, percent, short, told
from evergreen.pages.page import Html, facts, soft, table
from evergreen.training.card.parts import Facts, numbers, part, parts
from evergreen.training.plots.style import metric_name

_MOST_FEATURES = 20
_MOST_PARAMETERS = 40
_MOST_BINS = 50
_MOST_POINTS = 1_500
_BEST_TRIALS = 5


def calibration(evaluation: Facts) -> str:
    """How often answers of each confidence are right, and what the correction did."""
    given = part(evaluation, "calibration")
    if not given:
        return ""
    lines = {"before": _points(given, "bins_before"), "after": _points(given, "bins")}
    curves = [
        Curve(f"{name} the correction", [(sure, right) for sure, right, _ in line], tint)
        for (name, line), tint in zip(lines.items(), (AMBER, GREEN), strict=True)
        if line
    ]
    drawn = ""
    if curves:
        low = max(0.0, min(end for curve in curves for point in curve.points for end in point) - 0.05)
        drawn = plot(
            curves,
            "confidence of the answer",
            "share of right answers",
            x_ends=(low, 1.02),
            y_ends=(low, 1.02),
            diagonal=True,
            below=[(sure, rows) for sure, _, rows in lines["after"]],
            below_title="rows",
        )
        drawn = legend([curve.name for curve in curves], [curve.tint for curve in curves]) + drawn
    before, after = numbers(given, "before"), numbers(given, "after")
    rows = []
    for name in dict.fromkeys([*before, *after]):
        places = decimals(before.get(name), after.get(name))
        rows.append((metric_name(name), number(before.get(name), places), number(after.get(name), places)))
    side = table(("", "before", "after"), rows, numbers=(1, 2)) if rows else ""
    bias = given.get("bias")
    correction = facts(
        {
            "scale": number(given["scale"]) if finite(given.get("scale")) is not None else None,
            "bias": told(bias[:20] if isinstance(bias, list | tuple) else bias) if bias else None,
        }
    )
    note = soft(
        "On the dashed line the model is right as often as it says. The correction multiplies the raw scores"
        " by the scale and adds the bias of each class."
    )
    return f'<div class="pair">{_half(drawn)}{_half(note + side + correction)}</div>'


def _points(given: Facts, name: str) -> list[tuple[float, float, float]]:
    """The bins that hold rows: confidence, share of right answers, rows."""
    found = [
        tuple(finite(each.get(key)) for key in ("confidence", "accuracy", "rows"))
        for each in parts(given, name)
    ]
    return [
        (sure, right, rows) for sure, right, rows in found if rows and sure is not None and right is not None
    ][:_MOST_BINS]


def importance(evaluation: Facts) -> str:
    """The features that move the prediction most."""
    ranked = sorted(numbers(evaluation, "importance").items(), key=lambda item: -item[1])
    if not ranked:
        return ""
    shown = ranked[:_MOST_FEATURES]
    most = shown[0][1] or 1.0
    places = max(0, decimals(most) - 1)
    rows = [
        (short(name, 48), bar(value / most, GREEN), number(value, places if round(value, places) else None))
        for name, value in shown
    ]
    note = "Mean |SHAP|: how far a feature moves the raw prediction, on average."
    if len(ranked) > len(shown):
        rest = sum(value for _, value in ranked[_MOST_FEATURES:])
        note += f" The other {len(ranked) - len(shown)} features together: {number(rest)}."
    return soft(note) + table(("", "", ""), rows, numbers=(2,), kind="bars")


def learning_curve(evaluation: Facts) -> str:
    """The gate's metric by number of training rows: would more data help?"""
    points = [each for each in parts(evaluation, "learning_curve") if finite(each.get("rows"))]
    metric = metric_name(str(evaluation.get("metric") or "metric"))
    curves = []
    for name, key, tint in (("training rows", "train", PALE), ("hold-out", "holdout", GREEN)):
        values = [(finite(each["rows"]), finite(each.get(key))) for each in points]
        line = [(rows, value) for rows, value in values if rows is not None and value is not None]
        if line:
            curves.append(Curve(name, line, tint))
    if not curves:
        return ""
    most = max(x for curve in curves for x, _ in curve.points)
    drawn = plot(curves, "training rows", metric, x_ends=(0.0, 1.04 * most), height=260)
    note = soft("Where the hold-out's line is still on its way, more rows would help.")
    keys = legend([curve.name for curve in curves], [curve.tint for curve in curves])
    return f'<div class="pair">{_half(drawn)}{_half(note + keys)}</div>'


def search(given: Facts, recipe: Facts) -> str:
    """How the search went on, and the recipe that it found."""
    body = _trials(given) if given else ""
    return body + _recipe(given, recipe)


def _trials(given: Facts) -> str:
    trials = parts(given, "trials")
    if not trials:
        return ""
    states = [str(trial.get("state")) for trial in trials]
    counts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    seconds = finite(given.get("seconds"))
    took = f" in {number(round(seconds, 1))} s" if seconds is not None else ""
    by = f" by the {short(given['sampler'], 20)} sampler" if given.get("sampler") else ""
    note = soft(f"{number(len(trials))} trials{by}{took}: {', '.join(counts)}.")
    best, wide = _best(trials)
    history = _half(_history(trials))
    return note + (history + best if wide else f'<div class="pair">{history}{_half(best)}</div>')


def _history(trials: Sequence[Facts]) -> str:
    """The loss trial by trial; what was pruned far above the others stands at the upper edge."""
    step = -(-len(trials) // _MOST_POINTS)
    done = _with_loss(trials, "complete")
    pruned = _with_loss(trials, "pruned")
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
    keys = legend([curve.name for curve in drawn], [curve.tint for curve in drawn])
    return keys + plot(drawn, "trial", "validation loss", height=260)


def _with_loss(trials: Sequence[Facts], state: str) -> list[tuple[float, float]]:
    found = [(finite(t.get("number")), finite(t.get("loss"))) for t in trials if str(t.get("state")) == state]
    return sorted((at, loss) for at, loss in found if at is not None and loss is not None)


def _best(trials: Sequence[Facts]) -> tuple[str, bool]:
    """The table of the best trials, and whether it is too wide to stand beside anything."""
    done = [t for t in trials if t.get("state") == "complete" and finite(t.get("loss")) is not None]
    best = sorted(done, key=lambda t: (t["loss"], t.get("number") or 0))[:_BEST_TRIALS]
    if not best:
        return "", False
    places = decimals(*(t["loss"] for t in best))
    names = list(dict.fromkeys(str(name) for t in best for name in part(t, "params")))[:6]
    rows = [
        (
            told(t.get("number")),
            number(t["loss"], places),
            told(t.get("trees")),
            *(short(told(part(t, "params").get(name)), 20) for name in names),
        )
        for t in best
    ]
    header = ("trial", "loss", "trees", *(short(name, 24) for name in names))
    drawn = table(header, rows, numbers=range(len(header)), kind="trials")
    return f'<h3 class="over">The best trials</h3>{drawn}', len(names) > 3


def _recipe(given: Facts, recipe: Facts) -> str:
    """What the model was fitted with, what was searched, and what of it mattered."""
    space = {str(each.get("parameter")): each.get("values") for each in parts(given, "space")}
    shares = numbers(given, "importance")
    names = list(dict.fromkeys([*map(str, recipe), *space]))[:_MOST_PARAMETERS]
    if not names:
        return ""
    most = max(shares.values(), default=0.0) or 1.0
    rows: list[Sequence[object]] = [
        (
            short(name, 48),
            Html(f"<b>{escape(short(told(recipe.get(name)), 60))}</b>"),
            short(told(space[name]), 60) if name in space else "",
            percent(shares[name]) if name in shares else "",
            bar(shares[name] / most, BLUE) if name in shares else "",
        )
        for name in names
    ]
    header: Sequence[str] = ("parameter", "chosen", "searched", "explains", "")
    if not shares:
        header, rows = header[:3], [row[:3] for row in rows]
    if not space:
        header, rows = header[:2], [row[:2] for row in rows]
    drawn = table(header, rows, numbers=(3,), kind="recipe")
    note = soft("Explains: the share of the losses' spread over the trials that comes from the parameter.")
    return f'<h3 class="over">Recipe</h3>{drawn}{note if shares else ""}'


def _half(body: str) -> str:
    return f"<div>{body}</div>" if body else ""
