"""Pictures of the search: how it went on, and what mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evergreen.pages.colours import AMBER, GREEN, INK, SOFT
from evergreen.pages.numbers import compute_ticks, format_number, format_percent, parse_number
from evergreen.training.plots.style import bars, figure, key, names, nothing, text, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PARAMETERS = 12
_LOGARITHMIC = 5  # a parameter whose values differ by more is drawn on a logarithmic scale

Trials = Sequence[Mapping[str, Any]]


def search_history(trials: Trials) -> Figure:
    """The loss trial by trial; pruned ones are hollow, the least so far is the line.

    Each trial: {"number", "state": "complete", "pruned" or "failed", "loss", "params"}.
    """
    from matplotlib.ticker import MaxNLocator

    title = "How the search went on"
    done, pruned = _of(trials, "complete"), _of(trials, "pruned")
    if not done and not pruned:
        return nothing(title, "No trial has a loss.")
    failed = sum(trial["state"] == "failed" for trial in trials)
    told_failed = f", {failed} failed" if failed else ""
    all_pruned = sum(trial["state"] == "pruned" for trial in trials)
    note = f"{len(trials)} trials: {len(done)} complete, {all_pruned} pruned{told_failed}."
    top = _top(done, pruned)
    if any(trial["loss"] > top for trial in pruned):
        note += " Pruned ones at the upper edge lie above it."
    made = figure(7.5, 4.4, title, note)
    axes = tidy(made.subplots(), "trial", "validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if pruned:
        axes.plot(
            *_points(pruned, top), "o", color=SOFT, markerfacecolor="white", markersize=5, label="pruned"
        )
    if done:
        numbers, losses = _points(done, top)
        axes.plot(numbers, losses, "o", color=GREEN, markersize=5.5, label="complete")
        least = [min(losses[: i + 1]) for i in range(len(losses))]
        end = max([*numbers, *(trial["number"] for trial in pruned)])
        axes.step(
            [*numbers, end], [*least, least[-1]], where="post", color=AMBER, linewidth=2, label="best so far"
        )
        best = min(done, key=lambda trial: (trial["loss"], trial["number"]))
        axes.plot([best["number"]], [best["loss"]], "o", color=AMBER, markersize=9, markeredgecolor=INK)
        axes.annotate(
            f"trial {best['number']}: {format_number(best['loss'])}",
            (best["number"], best["loss"]),
            (0, -9),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=9,
            color=INK,
        )
        axes.margins(x=0.06)
        axes.set_ylim(*_room([*losses, *_points(pruned, top)[1]]))
    key(axes, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.12))
    return made


def search_importance(importance: Mapping[str, float]) -> Figure:
    """How much of the losses' spread each parameter explains."""
    title = "Which parameters mattered"
    ranked = dict(sorted(importance.items(), key=lambda item: -item[1])[:_MOST_PARAMETERS])
    if not ranked:
        return nothing(title, "Too few trials to tell.")
    said = [format_percent(share) for share in ranked.values()]
    return bars(title, ranked, said, "share of the losses' spread that a parameter explains")


def search_parameters(trials: Trials) -> Figure:
    """The loss against each parameter that was searched: one small picture each; the best trial is ringed."""
    title = "Where in the space the loss was small"
    done, pruned = _of(trials, "complete"), _of(trials, "pruned")
    known, top = [*done, *pruned], _top(done, pruned) if done or pruned else 0.0
    parameters = list(dict.fromkeys(name for trial in known for name in trial["params"]))[:_MOST_PARAMETERS]
    if not parameters:
        return nothing(title, "No trial has a loss.")
    columns = 2 if len(parameters) == 4 else min(3, len(parameters))
    lines = -(-len(parameters) // columns)
    made = figure(3.1 * columns + 0.8, 2.6 * lines + 0.9, title, "Hollow: pruned. Ringed: the best trial.")
    grid = made.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for axes, parameter in zip(grid, parameters, strict=False):
        _against(
            axes, parameter, top, [trial for trial in known if trial["params"].get(parameter) is not None]
        )
    for axes in grid[len(parameters) :]:
        axes.axis("off")
    for axes in grid[::columns]:
        axes.set_ylabel("validation loss")
    return made


def _against(axes: Axes, parameter: str, top: float, trials: Trials) -> None:
    tidy(axes, parameter)
    values = [trial["params"][parameter] for trial in trials]
    losses = [min(top, trial["loss"]) for trial in trials]
    if all(parse_number(value) is not None for value in values):
        _scale(axes, values)
        places = [float(value) for value in values]
    else:
        kinds = sorted({str(value) for value in values})
        places = [float(kinds.index(str(value))) for value in values]
        names(axes, "x", kinds, 14)
        axes.set_xlim(-0.6, len(kinds) - 0.4)
    for place, loss, trial in zip(places, losses, trials, strict=True):
        full = trial["state"] == "complete"
        axes.plot(
            [place],
            [loss],
            "o",
            color=GREEN if full else SOFT,
            markerfacecolor=GREEN if full else "white",
            markersize=5,
            alpha=0.75,
        )
    done = [i for i, trial in enumerate(trials) if trial["state"] == "complete"]
    if done:
        best = min(done, key=lambda i: losses[i])
        axes.plot(
            [places[best]],
            [losses[best]],
            "o",
            color=AMBER,
            markersize=10,
            markerfacecolor="none",
            markeredgewidth=2,
        )


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """Few, round numbers along the axis; on a logarithmic scale if the values differ by much."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = min(values), max(values)
    if low > 0 and high / low > _LOGARITHMIC:
        axes.set_xscale("log")
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if high / low < 150 else (1,)
        marks = [factor * 10.0**power for power in powers for factor in factors]
        axes.xaxis.set_minor_locator(NullLocator())
        marks = [mark for mark in marks if low * 0.9 <= mark <= high * 1.1]
    else:
        marks = [mark for mark in compute_ticks(low, high, 4) if mark == int(mark) or not _whole(values)]
    axes.xaxis.set_major_locator(FixedLocator(marks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: text(f"{value:,.4g}")))


def _whole(values: Sequence[float]) -> bool:
    return all(float(value).is_integer() for value in values)


def _of(trials: Trials, state: str) -> list[Mapping[str, Any]]:
    """The trials of that state that have a loss, in their order."""
    return sorted(
        (
            trial
            for trial in trials
            if trial["state"] == state and parse_number(trial.get("loss")) is not None
        ),
        key=lambda trial: trial["number"],
    )


def _top(done: Trials, pruned: Trials) -> float:
    """Where the picture ends: what was pruned after a few trees would squeeze all that is complete."""
    losses = [trial["loss"] for trial in done] or [trial["loss"] for trial in pruned]
    return float(max(losses) + 0.5 * (max(losses) - min(losses)))


def _points(trials: Trials, top: float) -> tuple[list[int], list[float]]:
    return [trial["number"] for trial in trials], [min(top, float(trial["loss"])) for trial in trials]


def _room(losses: Sequence[float]) -> tuple[float, float]:
    """Room for the best trial's text below the points."""
    span = max(losses) - min(losses) or abs(max(losses)) * 0.1 or 1.0
    return min(losses) - 0.16 * span, max(losses) + 0.08 * span
