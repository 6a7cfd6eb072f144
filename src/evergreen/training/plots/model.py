"""Pictures of the model itself: what it looks at, how it learned, whom it serves how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from evergreen.pages.colours import AMBER, BLUE, GREEN, INK, LINE, PALE, RED, SOFT
from evergreen.pages.numbers import choose_decimals, format_number, parse_number
from evergreen.training.plots.style import (
    bars,
    figure,
    key,
    metric_name,
    names,
    nothing,
    text,
    tidy,
)
from evergreen.usecase import UseCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_FEATURES = 25
_MOST_GROUPS = 40


def importance(use_case: UseCase, values: Mapping[str, float]) -> Figure:
    """How far each feature moves the prediction: bars of mean |SHAP|, the greatest on top."""
    title = f"{use_case.title}: what the model looks at"
    ranked = sorted(values.items(), key=lambda item: -item[1])
    if not ranked:
        return nothing(title, "No importance was measured.")
    shown = dict(ranked[:_MOST_FEATURES])
    rest = len(ranked) - len(shown)
    more = f"; the {len(shown)} greatest of {len(ranked)} features" if rest else ""
    places = max(0, choose_decimals(*shown.values()) - 1)
    said = [format_number(value, places if round(value, places) else None) for value in shown.values()]
    return bars(title, shown, said, f"mean |SHAP|: how far it moves the raw prediction{more}")


def calibration(
    use_case: UseCase, before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> Figure:
    """A reliability diagram: how often answers of each confidence are right, and how many rows those are.

    `before` and `after` the correction: bins of {"confidence", "accuracy", "rows"}; empty ones are left out.
    """
    title = f"{use_case.title}: is it as sure as it is right?"
    given = {"before": _bins(before), "after": _bins(after)}
    points = [bin_ for bins in given.values() for bin_ in bins]
    if not points:
        return nothing(title, "No bin holds a row.")
    made = figure(6.6, 6.6, title, "Points are bins of rows; on the dotted line confidence and truth agree.")
    upper, lower = made.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    tidy(upper, "", "share of right answers")
    upper.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=":")
    tidy(lower, "confidence of the answer", "rows", grid="y")
    width = 0.42 * _least_gap([b["confidence"] for b in given["after"] or given["before"]])
    for (name, bins), tint, shift in zip(given.items(), (AMBER, GREEN), (-0.5, 0.5), strict=True):
        x = [b["confidence"] for b in bins]
        upper.plot(x, [b["accuracy"] for b in bins], "o-", color=tint, label=f"{name} the correction")
        lower.bar([c + shift * width for c in x], [b["rows"] for b in bins], width=width, color=tint)
    low = max(0.0, min(min(b["confidence"], b["accuracy"]) for b in points) - 0.06)
    upper.set(xlim=(low, 1.03), ylim=(low, 1.03))
    upper.tick_params(labelbottom=False)
    key(upper, loc="upper left")
    made.align_ylabels()
    return made


def training_curve(curve: Mapping[str, Any]) -> Figure:
    """The loss by number of trees, on the rows that fit and on those that judge; the best is marked.

    `curve`: {"trees": [...], "train": [...], "validation": [...], "best": trees, "loss": its name}.
    """
    title = "How the loss falls with the trees"
    trees = list(curve.get("trees") or ())
    if not trees:
        return nothing(title, "No curve was recorded.")
    made = figure(7.5, 4.4, title)
    axes = tidy(made.subplots(), "trees", str(curve.get("loss") or "loss"))
    drawn: list[float] = []
    for name, tint in (("train", PALE), ("validation", GREEN)):
        line = list(curve.get(name) or ())[: len(trees)]
        if line:
            axes.plot(trees[: len(line)], line, color=tint, linewidth=2, label=name)
            drawn += line
    best = curve.get("best")
    judged = dict(zip(trees, curve.get("validation") or (), strict=False))
    if best is not None:
        axes.axvline(best, color=INK, linewidth=0.9, linestyle=":")
        said = f"best: {best:,} trees"
        if best in judged:
            axes.plot([best], [judged[best]], "o", color=GREEN, markersize=7)
            said += f", {format_number(judged[best])}"
        late = best > trees[0] + 0.6 * (trees[-1] - trees[0])
        axes.annotate(
            said,
            (best, 1),
            (-6 if late else 6, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right" if late else "left",
            va="top",
            fontsize=9,
            color=INK,
        )
    if drawn:
        key(axes, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))
    return made


def learning_curve(points: Sequence[Mapping[str, Any]], metric: str) -> Figure:
    """The metric by number of training rows, on these rows and on the hold-out: would more data help?"""
    title = "Would more data help?"
    name = metric_name(metric)
    if not points:
        return nothing(title, "No learning curve was measured.")
    made = figure(7.5, 4.4, title, "Where the hold-out's line is still on its way, more rows would help.")
    axes = tidy(made.subplots(), "training rows", name)
    for part, tint in (("train", PALE), ("holdout", GREEN)):
        known = [(p["rows"], p[part]) for p in points if parse_number(p.get(part)) is not None]
        if not known:
            continue
        said = "training rows" if part == "train" else "hold-out"
        axes.plot(*zip(*known, strict=True), "o-", color=tint, linewidth=2, label=said)
        rows, last = known[-1]
        axes.annotate(
            format_number(last),
            (rows, last),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=SOFT,
        )
    axes.set_xlim(left=0)
    axes.margins(x=0.1, y=0.12)
    key(axes, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.12))
    return made


def slices(given: Sequence[Mapping[str, Any]]) -> Figure:
    """The metric in each group of each slice, with its rows; hollow where a group was too small to judge."""
    title = "How well does it serve each group?"
    parts = [(each, _groups(each)) for each in given]
    parts = [(each, groups) for each, groups in parts if groups]
    if not parts:
        return nothing(title, "No slice was declared, or none has a value.")
    heights = [len(groups) + 1.1 for _, groups in parts]
    hollow = any(not group["judged"] for _, groups in parts for group in groups)
    note = "Hollow: too few rows to judge." if hollow else ""
    made = figure(7.5, 0.31 * sum(heights) + 1.2, title, note)
    axes = made.subplots(len(parts), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for ax, (each, groups) in zip(axes, parts, strict=True):
        _slice(ax, each, groups)
    axes[-1].set_xlabel(text(metric_name(str(parts[-1][0]["metric"]))))
    for ax in axes[:-1]:
        ax.tick_params(labelbottom=False)
    return made


def _slice(axes: Axes, each: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> None:
    metric = each["metric"]
    tint = RED if each.get("sensitive") else BLUE
    tidy(axes, grid="x")
    values = [group["values"][metric] for group in groups]
    judged = [group["judged"] for group in groups]
    for place, (value, solid) in enumerate(zip(values, judged, strict=True)):
        axes.axhline(place, color=LINE, linewidth=0.7, zorder=0)
        axes.plot([value], [place], "o", color=tint, markerfacecolor=tint if solid else "white")
    names(axes, "y", [str(group["name"]) for group in groups], 28)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.spines["left"].set_visible(False)
    sensitive = " (sensitive)" if each.get("sensitive") else ""
    axes.set_title(text(f"{each['feature']}{sensitive}", 50), loc="left", fontsize=10, color=tint)
    places = max(0, choose_decimals(*values) - 1)
    for place, group in enumerate(groups):
        axes.text(
            1.02,
            place,
            f"{format_number(values[place], places)}   {group['rows']:,} rows",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
            color=INK if group["judged"] else SOFT,
        )


def _groups(each: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The groups that have a value of the slice's metric."""
    known = [g for g in each.get("groups") or () if parse_number((g.get("values") or {}).get(each["metric"]))]
    return known[:_MOST_GROUPS]


def _bins(bins: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        each
        for each in bins or ()
        if each.get("rows")
        and parse_number(each.get("confidence")) is not None
        and parse_number(each.get("accuracy")) is not None
    ]


def _least_gap(places: Sequence[float]) -> float:
    """The distance of the nearest two, so that their bars do not overlap."""
    ordered = sorted(places)
    gaps = [b - a for a, b in pairwise(ordered) if b > a]
    return max(0.01, min(gaps, default=0.1))
