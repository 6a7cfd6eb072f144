"""Charts of a hyperparameter search: how it went on, and what mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evergreen.pages.axis import Axis, build_category_axis, build_number_axis, choose_number_axis
from evergreen.pages.colours import AMBER, GREEN, SOFT
from evergreen.pages.drawing import Picture, arrange_in_grid, draw_notice
from evergreen.pages.numbers import format_number, format_percent, parse_number, shorten_text
from evergreen.pages.plot import Curve, Point, Remark, draw_plot
from evergreen.pages.rows import NamedValue, draw_bars

_MOST_PARAMETERS = 12
_MOST_POINTS = 1_500

ParameterValue = str | float | int | bool | None


@dataclass(frozen=True)
class TrialLoss:
    """A trial of the search: its `state` is "complete", "pruned" or "failed"; a failed one has no loss."""

    number: float
    state: str
    loss: float | None
    parameters: Mapping[str, ParameterValue]


@dataclass(frozen=True)
class _Dot:
    """A trial that has a loss; `loss` is cut at the upper edge of the chart."""

    number: float
    loss: float
    parameters: Mapping[str, ParameterValue]


def draw_search_history(trials: Sequence[TrialLoss]) -> Picture:
    """The loss trial by trial; pruned ones are hollow, the least so far is the line."""
    title = "How the search went on"
    complete, pruned, edge = _select_dots(trials)
    if not complete and not pruned:
        return Picture(title, draw_notice("No trial has a loss."))
    states = [trial.state for trial in trials]
    counts = f"{states.count('complete')} complete, {states.count('pruned')} pruned"
    counts += f", {states.count('failed')} failed" if "failed" in states else ""
    note = f"{len(trials)} trial{'' if len(trials) == 1 else 's'}: {counts}."
    if any(trial.loss is not None and trial.state == "pruned" and trial.loss > edge for trial in trials):
        note += " Pruned ones at the upper edge lie above it."
    step = -(-len(trials) // _MOST_POINTS)
    curves = [
        Curve("pruned", _list_points(pruned)[::step], SOFT, line=False, hollow=True),
        Curve("complete", _list_points(complete)[::step], GREEN, line=False),
        Curve("best so far", _build_steps(complete, pruned), AMBER, dots=False),
    ]
    remarks = []
    if complete:
        best = _find_best(complete)
        curves.append(Curve("", [(best.number, best.loss)], AMBER, line=False, size=11))
        x = build_number_axis([dot.number for dot in [*complete, *pruned]], margin=0.05)
        late = x.locate(best.number) > 0.7
        text = f"trial {best.number:g}: {format_number(best.loss)}"
        remarks.append(Remark(text, (best.number, best.loss), (0, 20), "end" if late else "start"))
    losses = [dot.loss for dot in [*complete, *pruned]]
    room = 0.16 * (max(losses) - min(losses))  # for the best trial's text below the points
    drawing = draw_plot(
        build_number_axis([dot.number for dot in [*complete, *pruned]], "trial", margin=0.05, whole=True),
        build_number_axis([*losses, min(losses) - room], "validation loss"),
        [curve for curve in curves if curve.points],
        remarks=remarks,
        width=560,
        height=300,
    )
    return Picture(title, drawing, note)


def draw_search_importance(importance: Mapping[str, float]) -> Picture:
    """How much of the losses' spread over the trials each parameter explains."""
    title = "Which parameters mattered"
    ranked = sorted(importance.items(), key=lambda item: -item[1])[:_MOST_PARAMETERS]
    if not ranked:
        return Picture(title, draw_notice("Too few trials to tell."))
    rows = [NamedValue(shorten_text(name, 48), share, (format_percent(share),)) for name, share in ranked]
    note = "The share of the losses' spread that a parameter explains."
    return Picture(title, draw_bars(rows, "share by parameter"), note)


def draw_search_parameters(trials: Sequence[TrialLoss]) -> Picture:
    """The loss against each parameter that was searched, one plot each; the best trial is ringed."""
    title = "Where in the space the loss was small"
    complete, pruned, _ = _select_dots(trials)
    dots = [*complete, *pruned]
    names = list(dict.fromkeys(name for dot in dots for name in dot.parameters))
    names = [name for name in names if any(dot.parameters.get(name) is not None for dot in dots)]
    names = names[:_MOST_PARAMETERS]
    if not names:
        return Picture(title, draw_notice("No trial has a loss."))
    columns = 2 if len(names) == 4 else min(3, len(names))
    y = build_number_axis([dot.loss for dot in dots], "validation loss", about=4)
    plots = []
    for name in names:
        x, places = _place_values(name, [dot.parameters.get(name) for dot in dots])
        best, loose, full = _split_points(dots, places, len(complete))
        curves = [
            Curve("best", best, AMBER, line=False, size=15),
            Curve("pruned", loose, SOFT, line=False, hollow=True),
            Curve("complete", full, GREEN, line=False),
        ]
        plots.append(draw_plot(x, y, curves, width=300, height=220, legend=False))
    note = "Hollow: pruned. Ringed: the best trial."
    return Picture(title, arrange_in_grid(plots, columns), note)


def _select_dots(trials: Sequence[TrialLoss]) -> tuple[list[_Dot], list[_Dot], float]:
    """Complete and pruned trials that have a loss, by number, and the upper edge at which losses are cut.

    A trial that was pruned after a few trees has a loss that would squeeze all others at the bottom.
    """
    trials_with_loss = sorted(
        ((trial, trial.loss) for trial in trials if trial.loss is not None), key=lambda item: item[0].number
    )
    of_state = {
        state: [(trial, loss) for trial, loss in trials_with_loss if trial.state == state]
        for state in ("complete", "pruned")
    }
    losses = [loss for _, loss in of_state["complete"] or of_state["pruned"]]
    edge = max(losses) + 0.5 * (max(losses) - min(losses)) if losses else 0.0
    complete, pruned = (
        [_Dot(trial.number, min(edge, loss), trial.parameters) for trial, loss in part]
        for part in of_state.values()
    )
    return complete, pruned, edge


def _list_points(dots: Sequence[_Dot]) -> list[Point]:
    return [(dot.number, dot.loss) for dot in dots]


def _find_best(dots: Sequence[_Dot]) -> _Dot:
    return min(dots, key=lambda dot: (dot.loss, dot.number))


def _build_steps(complete: Sequence[_Dot], pruned: Sequence[_Dot]) -> list[Point]:
    """The least loss so far, as a line of steps that ends at the last trial."""
    steps: list[Point] = []
    for dot in complete:
        if not steps:
            steps.append((dot.number, dot.loss))
        elif dot.loss < steps[-1][1]:
            steps += [(dot.number, steps[-1][1]), (dot.number, dot.loss)]
    if steps:
        steps.append((max(dot.number for dot in [*complete, *pruned]), steps[-1][1]))
    return steps


def _split_points(
    dots: Sequence[_Dot], places: Sequence[float | None], complete: int
) -> tuple[list[Point], list[Point], list[Point]]:
    """The points of the best trial, of the pruned and of the complete ones, which come first in `dots`."""
    points = [
        (number, dot, (place, dot.loss))
        for number, (dot, place) in enumerate(zip(dots, places, strict=True))
        if place is not None
    ]
    full = [(dot, point) for number, dot, point in points if number < complete]
    best = min(full, key=lambda item: (item[0].loss, item[0].number), default=None)
    pruned = [point for number, _, point in points if number >= complete]
    return [best[1]] if best else [], pruned, [point for _, point in full]


def _place_values(name: str, values: Sequence[ParameterValue]) -> tuple[Axis, list[float | None]]:
    """An axis for a parameter's values, and each one's place on it; None where there is none."""
    present = [value for value in values if value is not None]
    numbers = [number for value in present if (number := parse_number(value)) is not None]
    if len(numbers) == len(present):
        return choose_number_axis(numbers, name), [parse_number(value) for value in values]
    kinds = sorted({str(value) for value in present})
    places = [None if value is None else float(kinds.index(str(value))) for value in values]
    return build_category_axis([shorten_text(kind, 24) for kind in kinds], name), places
